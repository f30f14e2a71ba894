"""How long a plan is kept."""

PLANNED_ONCE = "-c plan_cache_mode=force_generic_plan"
"""As `options` of connections with few, large, ever repeated statements: planning some costs more than executing them,
and Postgres would plan them anew for each array's length and each value."""
