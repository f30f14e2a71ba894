"""Everything that can be wished for, and who grants it."""

from typing import Any

from commands import (
    access,
    accounts,
    api_keys,
    backends,
    batches,
    erasure,
    gate,
    generating,
    inputs,
    loras,
    models,
    people,
    projections,
    queue,
    runs,
    webhooks,
    workflows,
)
from commands.needs import Command, Handler, Needs
from commands.streams import Context

HANDLERS: dict[type[Command], Handler[Any]] = {
    accounts.RegisterAccount: accounts.register_account,
    accounts.LogIn: accounts.log_in,
    accounts.Refresh: accounts.refresh,
    accounts.LogOut: accounts.log_out,
    accounts.GiveRole: accounts.give_role,
    access.ChangePassword: access.change_password,
    access.ChangeEmail: access.change_email,
    access.EndSession: access.end_session,
    access.EndOtherSessions: access.end_other_sessions,
    people.ChangeAccount: people.change_account,
    erasure.EraseAccount: erasure.erase_account,
    erasure.FinishErasure: erasure.finish_erasure,
    api_keys.MakeApiKey: api_keys.make_api_key,
    api_keys.RevokeApiKey: api_keys.revoke_api_key,
    workflows.CreateWorkflow: workflows.create_workflow,
    workflows.SaveVersion: workflows.save_version,
    workflows.RestoreVersion: workflows.restore_version,
    workflows.ChangeWorkflow: workflows.change_workflow,
    workflows.DeleteWorkflow: workflows.delete_workflow,
    runs.SubmitRun: runs.submit_run,
    runs.CancelRun: runs.cancel_run,
    runs.DeleteRun: runs.delete_run,
    runs.ReportRun: runs.report_run,
    runs.LoseAttempt: runs.lose_attempt,
    generating.Generate: generating.generate,
    generating.RunGraph: generating.run_graph,
    generating.Rerun: generating.rerun,
    inputs.StoreInput: inputs.store_input,
    inputs.DeleteInput: inputs.delete_input,
    batches.GenerateBatch: batches.generate_batch,
    batches.GenerateGrid: batches.generate_grid,
    batches.CancelBatch: batches.cancel_batch,
    gate.SetGate: gate.set_gate,
    gate.ChangeGate: gate.change_gate,
    models.RegisterModel: models.register_model,
    models.ChangeModel: models.change_model,
    models.RemoveModel: models.remove_model,
    queue.PauseQueue: queue.pause_queue,
    queue.ResumeQueue: queue.resume_queue,
    queue.SetPool: queue.set_pool,
    queue.SetLimits: queue.set_limits,
    queue.CleanQueue: queue.clean_queue,
    queue.ReviveRun: queue.revive_run,
    backends.SeeBackend: backends.see_backend,
    backends.LoseBackend: backends.lose_backend,
    backends.TakeStock: backends.take_stock,
    backends.RegisterBackend: backends.register_backend,
    backends.ChangeBackend: backends.change_backend,
    backends.DrainBackend: backends.drain_backend,
    backends.ResumeBackend: backends.resume_backend,
    backends.RemoveBackend: backends.remove_backend,
    backends.SetOwnBackend: backends.set_own_backend,
    backends.RemoveOwnBackend: backends.remove_own_backend,
    projections.SkipEvent: projections.skip_event,
    projections.WithdrawSkip: projections.withdraw_skip,
    webhooks.CreateWebhook: webhooks.create_webhook,
    webhooks.ChangeWebhook: webhooks.change_webhook,
    webhooks.RotateSecret: webhooks.rotate_secret,
    webhooks.DeleteWebhook: webhooks.delete_webhook,
    webhooks.DisableWebhook: webhooks.disable_webhook,
    webhooks.TryWebhook: webhooks.try_webhook,
    webhooks.SendAgain: webhooks.send_again,
    webhooks.ReplayRange: webhooks.replay_range,
    loras.UploadLora: loras.upload_lora,
    loras.ChangeLora: loras.change_lora,
    loras.DeleteLora: loras.delete_lora,
    loras.ClearShelf: loras.clear_shelf,
}


class Dispatcher:
    def __init__(self, needs: Needs) -> None:
        self.needs = needs

    async def run(self, command: Command, context: Context) -> Any:
        """Grant a wish, or raise why not: a DomainError, or a fault of the log."""
        return await HANDLERS[type(command)](command, context, self.needs)
