"""The read models there are."""

from projections.audit_trail import AUDIT_TRAIL
from projections.collections import COLLECTIONS_MADE
from projections.comments import COMMENTS_MADE
from projections.feed import FEED
from projections.follows import FOLLOWS
from projections.gallery import GALLERY
from projections.inputs import INPUT_SHELF
from projections.lora_shelf import LORA_SHELF
from projections.notices import NOTICES_GIVEN
from projections.output_names import OUTPUT_NAMES
from projections.people import PEOPLE_HERE
from projections.preset_shelf import PRESET_SHELF
from projections.profiles import PROFILES
from projections.projection import Projection
from projections.prompts import PROMPTS_SENT
from projections.reports import REPORTS_MADE
from projections.run_status import RUN_STATUS
from projections.shared_outputs import SHARED_OUTPUTS
from projections.shares import SHARES_MADE
from projections.statistics import STATISTICS
from projections.template_shelf import TEMPLATE_SHELF
from projections.usage import USAGE
from projections.workflow_shelf import WORKFLOW_SHELF

PROJECTIONS: dict[str, Projection] = {
    projection.name: projection
    for projection in (
        *(WORKFLOW_SHELF, GALLERY, RUN_STATUS, INPUT_SHELF, USAGE, AUDIT_TRAIL, LORA_SHELF),
        *(PEOPLE_HERE, TEMPLATE_SHELF, PRESET_SHELF, COMMENTS_MADE, FOLLOWS, FEED, PROFILES),
        *(
            REPORTS_MADE,
            NOTICES_GIVEN,
            SHARES_MADE,
            SHARED_OUTPUTS,
            COLLECTIONS_MADE,
            OUTPUT_NAMES,
            PROMPTS_SENT,
            STATISTICS,
        ),
    )
}
