"""Where in MLflow's pages a task's things are, for `bitladder up`: what comes after the server's address."""

from pipeline import params_file, paths
from pipeline.tracking import descriptions, execution, registry, store


def of_project() -> dict[str, str]:
    """By what each is, its page: the experiment, the registered model, its champion, the newest report.

    Of the task of params.yaml, as far as the project's own store has them; nothing where it has none.
    """
    place = store.own()
    if place.database is None or not place.database.is_file():
        return {}
    try:
        task = params_file.load(paths.PARAMS).task.name
    except params_file.ParamsError:
        return {}
    with store.opened(place) as client:
        experiment = client.get_experiment_by_name(f"bitladder/{task}")
        if experiment is None:
            return {}
        number, name = experiment.experiment_id, execution.registered_model(task)
        found = {"experiment": descriptions.runs_page(number)}
        if registry.versions(client, name):
            found["registered model"] = descriptions.model_page(name)
        runs = client.search_runs([number], "tags.`bitladder.report` != ''", order_by=["start_time DESC"])
        if runs:
            found["report"] = descriptions.report_page(number, runs[0].info.run_id, paths.REPORT)
        return found
