"""Stand-ins for packages of experiment trackers, as far as Lightning's loggers call them: they keep what they get."""

import sys
import types


class Run:
    """What `wandb.init` returns."""

    def __init__(self, **options):
        self.options, self.logged = options, []
        self.id, self.name, self.config = "abc", "run", self
        self.settings = {}

    def define_metric(self, *unused, **options):
        """Nothing to keep."""

    def update(self, params, allow_val_change):
        self.settings.update(params)

    def log(self, metrics):
        self.logged.append(metrics)


class Client:
    """`mlflow.tracking.MlflowClient`."""

    latest = None

    def __init__(self, uri):
        Client.latest = self
        self.metrics, self.params, self.status = [], {}, None

    def get_experiment_by_name(self, name):
        return types.SimpleNamespace(lifecycle_stage="active", experiment_id="1", name=name)

    def create_run(self, experiment_id, tags):
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="r1", experiment_id=experiment_id))

    def get_run(self, run_id):
        return run_id

    def get_experiment(self, experiment_id):
        return types.SimpleNamespace(name="lightning_logs")

    def log_batch(self, run_id, metrics=(), params=()):
        self.metrics += metrics
        self.params.update({param.key: param.value for param in params})

    def set_terminated(self, run_id, status):
        self.status = status


def package(name, **contents):
    module = types.ModuleType(name)
    vars(module).update(contents)
    return module


def install_wandb(monkeypatch):
    """Makes `import wandb` work for Lightning's `WandbLogger`."""
    fakes = {
        "wandb": package("wandb", run=None, init=lambda **options: Run(**options)),
        "wandb.sdk": package("wandb.sdk"),
        "wandb.sdk.lib": package("wandb.sdk.lib", RunDisabled=type("RunDisabled", (), {})),
        "wandb.wandb_run": package("wandb.wandb_run", Run=Run),
    }
    for name, module in fakes.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("lightning.pytorch.loggers.wandb._WANDB_AVAILABLE", True)


def install_mlflow(monkeypatch):
    """Makes `import mlflow` work for Lightning's `MLFlowLogger`."""
    fakes = {
        "mlflow": package("mlflow", set_tracking_uri=lambda uri: None),
        "mlflow.tracking": package("mlflow.tracking", MlflowClient=Client),
        "mlflow.tracking.context": package("mlflow.tracking.context"),
        "mlflow.tracking.context.registry": package("registry", resolve_tags=lambda tags=None: tags),
        "mlflow.entities": package("mlflow.entities", Metric=types.SimpleNamespace, Param=types.SimpleNamespace),
    }
    for name, module in fakes.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("lightning.pytorch.loggers.mlflow._MLFLOW_AVAILABLE", True)
