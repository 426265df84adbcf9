"""Every setting, in one frozen tree that is built once by the command line and passed on.

Values come from ``MASKWATCH_…`` variables first (two underscores go one level down:
``MASKWATCH_KAFKA__BOOTSTRAP_SERVERS``), then from a TOML file, then from the defaults below. An unknown key in the
file is refused with the nearest known name; an unknown variable is warned about, since it may be another version's.
"""

import os
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import SettingsError as UnreadableError

from maskwatch.drift_settings import AlertSettings, DriftSettings, SamplingSettings
from maskwatch.errors import SettingsError, did_you_mean
from maskwatch.label_settings import LabelSettings, StoreSettings
from maskwatch.learning_settings import GateSettings, RetrainSettings, RolloutSettings
from maskwatch.settings_group import Group, not_json

PREFIX = "MASKWATCH_"
FILE_VARIABLE = "MASKWATCH_SETTINGS"
ALIVE_VARIABLE = "MASKWATCH_ALIVE_FILE"
DEFAULT_FILE = Path("maskwatch.toml")
PROJECT = Path(__file__).resolve().parents[1]
"""The clone, or the image's folder, that this runs from."""
MODELS = PROJECT / "data" / "models"
"""The models that come with it."""

_NOT_SETTINGS = (FILE_VARIABLE, ALIVE_VARIABLE)


def user_data_dir() -> Path:
    """Return where this user's data lies by the platform's custom (XDG on Linux and WSL2)."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "maskwatch"


class KafkaSettings(Group):
    """Which Kafka, and how to speak to it."""

    bootstrap_servers: str = Field("", description="host:port,… of your own cluster; empty starts the embedded broker")
    port: int = Field(9092, ge=1, le=65535, description="port of the embedded broker, loopback only")
    topic_prefix: str = Field("", pattern=r"^[a-zA-Z0-9._-]*$", description="put before every topic and group name")
    replication: int = Field(1, ge=1, le=9, description="replicas of the topics that we create")
    create_topics: bool = Field(
        default=True, description="create missing topics; without it a missing topic is an error"
    )
    security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="security protocol"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="how to log in, with a SASL protocol"
    )
    username: str = Field("", description="user, with a SASL protocol")
    password: SecretStr = Field(SecretStr(""), description="password, with a SASL protocol")
    ca_file: Path | None = Field(
        None, description="authority that signed the broker's certificate; the system's if unset"
    )
    cert_file: Path | None = Field(None, description="our certificate, for mTLS")
    key_file: Path | None = Field(None, description="the key of our certificate, for mTLS")
    timeout_s: float = Field(10, gt=0, description="longest wait for one answer of the broker, in seconds")
    jars: Path | None = Field(None, description="folder of Kafka's jars (a release's libs/); unset fetches them once")
    heap_mb: int = Field(512, ge=256, description="heap of the embedded broker in MB")
    disk_share: float = Field(0.2, gt=0, le=0.9, description="share of the free disk that topics may fill")

    @model_validator(mode="after")
    def _sasl_needs_a_user(self) -> "KafkaSettings":
        if self.security.startswith("SASL") and not self.username:
            raise ValueError(f"kafka.security is {self.security}, so kafka.username and kafka.password are needed")
        return self


class ValkeySettings(Group):
    """Which Valkey or Redis holds the live picture."""

    url: SecretStr = Field(SecretStr(""), description="redis://… of your own; empty starts the embedded Valkey")
    port: int = Field(6380, ge=1, le=65535, description="port of the embedded Valkey, loopback only")
    timeout_s: float = Field(2, gt=0, description="longest wait for one answer, in seconds")


class ApiSettings(Group):
    """The front door."""

    host: str = Field("127.0.0.1", description="address to listen on; beyond loopback a token is needed")
    port: int = Field(8000, ge=1, le=65535, description="port to listen on")
    token: SecretStr = Field(SecretStr(""), description="bearer token; needed beyond loopback")
    cert_file: Path | None = Field(None, description="certificate to serve HTTPS with; plain HTTP without")
    key_file: Path | None = Field(None, description="private key of api.cert_file")
    origins: tuple[str, ...] = Field((), description="further origins whose pages may open the live socket")
    source_url: str = Field("", description="where this installation's source is; empty offers it for download itself")
    max_upload_bytes: int = Field(20_000_000, ge=1000, description="bytes of one uploaded file at most")
    max_batch_bytes: int = Field(100_000_000, ge=1000, description="bytes of one batch of files at most")
    max_batch_files: int = Field(100, ge=1, le=1000, description="files of one batch at most, those of an archive too")
    max_video_s: float = Field(60, gt=0, description="seconds of an uploaded video at most")
    video_rate: float = Field(1, gt=0, le=30, description="pictures of each second of an uploaded video")
    max_pending_bytes: int = Field(
        150_000_000, ge=1000, description="bytes of uploads in hand at a time; one more is asked to come back"
    )
    body_timeout_s: float = Field(30, gt=0, description="longest time for an upload to arrive, in seconds")
    answer_timeout_s: float = Field(10, gt=0, description="an upload is answered by then, or told where to look")
    max_broadcasts: int = Field(20, ge=1, description="pages that send their own camera at a time")
    max_listeners: int = Field(100, ge=1, description="streams of detections at a time")
    max_viewers: int = Field(300, ge=1, description="live sockets at a time; one more is asked to come back later")

    @model_validator(mode="after")
    def _token_beyond_loopback(self) -> "ApiSettings":
        if self.host not in {"127.0.0.1", "::1", "localhost"} and not self.token.get_secret_value():
            raise ValueError(f"api.host {self.host} is beyond loopback, so api.token is needed")
        return self


class CaptureSettings(Group):
    """Cameras."""

    file: Path | None = Field(None, description="cameras.toml to read into cameras.v1 at the start")
    key: SecretStr = Field(
        SecretStr(""), description="Fernet key that seals cameras' passwords; empty: one is kept beside the data"
    )
    allowed_networks: tuple[IPvAnyNetwork, ...] = Field(
        (), description="networks such as 127.0.0.0/8 that cameras of cameras.v1 may name though they are not cameras'"
    )


class DetectorSettings(Group):
    """The detector workers."""

    model: Path = Field(
        MODELS / "default",
        description="a model of data/models by its name, such as default, or the folder of another's model.json",
    )
    runtime: Literal["openvino", "onnxruntime"] = Field("openvino", description="what runs the model")
    providers: tuple[str, ...] = Field(
        ("CPUExecutionProvider",),
        description="ONNX Runtime's providers, first choice first; CUDA and TensorRT are untested on a GPU",
    )
    precision: Literal["auto", "int8", "fp16", "fp32"] = Field(
        "auto", description="auto: INT8 where the CPU multiplies it fast, else FP16 where it has BF16, else FP32"
    )
    threads: int = Field(2, ge=1, le=64, description="inference threads, each with a request of its own")
    score: float = Field(0.4, gt=0, lt=1, description="faces under this score are not reported")
    age_budget_s: float = Field(
        2.0,
        gt=0,
        description="live frames older than this are skipped, counted from the append; a detection has twice as long",
    )
    seek_after_s: float = Field(2.0, gt=0, description="behind by more than this, a partition is read on from its end")
    batch: int = Field(16, ge=1, le=256, description="frames of a batch at most")
    upload_share: float = Field(0.25, ge=0, lt=1, description="share of every batch kept for uploads while any wait")
    max_pixels: int = Field(33_177_600, ge=1, description="pixels of a picture at most; 33 million is 8K")
    stuck_after_s: float = Field(
        30,
        gt=0,
        lt=60,
        description="inference that gives no answer for so long hangs: the worker ends itself, to be started anew",
    )
    instance: str = Field(
        "", description="static member id, one per process: its restart keeps its partitions; empty: a dynamic member"
    )

    @field_validator("model")
    @classmethod
    def _by_name(cls, model: Path) -> Path:
        # A name of ours counts even where a folder of that name lies here: that one is named by its whole path.
        known = MODELS / model
        return known if len(model.parts) == 1 and known.is_dir() else model


class LiveSettings(Group):
    """The stage that keeps the latest picture of each camera."""

    join_window_s: float = Field(3, gt=0, description="how long a frame waits for its detection")
    fresh_s: int = Field(10, ge=2, description="seconds that a joined frame counts as live")
    last_s: int = Field(86_400, ge=1, description="seconds that a camera's last frame is kept")
    instance: str = Field(
        "", description="static member id, one per process: its restart keeps its partitions; empty: a dynamic member"
    )


class ArchiveSettings(Group):
    """Answers to uploads, kept for longer than a topic keeps them."""

    url: str = Field("", description="file:///… or s3://…, whatever fsspec reaches; empty: archive/ beside the data")
    days: int = Field(90, ge=1, le=36_500, description="days that are kept")
    flush_s: float = Field(60, gt=0, description="longest time that an answer waits for its file")
    flush_records: int = Field(5000, ge=1, description="answers of one file at most")


class MqttSettings(Group):
    """The mirror over MQTT, for those who have no Kafka client."""

    url: SecretStr = Field(
        SecretStr(""), description="mqtt://user:password@host:1883 (mqtts:// with TLS); empty mirrors nothing"
    )
    topic: str = Field("maskwatch", pattern=r"^[^#+]+$", description="what every MQTT topic begins with")


class MetricsSettings(Group):
    """Prometheus."""

    port: int = Field(
        0, ge=0, le=65535, description="each stage serves its own metrics here; 0: only the API serves them"
    )


class MlflowSettings(Group):
    """MLflow: what was trained, and which models are registered."""

    tracking_uri: SecretStr = Field(
        SecretStr(""), description="http://… of your own server; empty keeps all in a SQLite file beside the data"
    )
    experiment: str = Field("maskwatch", min_length=1, description="where trainings are logged")
    model: str = Field("maskwatch", min_length=1, description="name that models are registered under")
    timeout_s: int = Field(10, ge=1, le=600, description="longest wait for one answer of MLflow, in seconds")
    retry_after_s: float = Field(30, gt=0, description="MLflow being away, a training tries it again after that long")
    finish_s: float = Field(60, ge=0, description="longest that a finished training waits until all of it is in MLflow")
    port: int = Field(5000, ge=1, le=65535, description="port of MLflow's pages, loopback only")


class LogSettings(Group):
    """Logs."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is written")
    format: Literal["auto", "text", "json"] = Field("auto", description="auto: text on a terminal, JSON elsewhere")


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="ignore", validate_default=True
    )

    data_dir: Path = Field(default_factory=user_data_dir, description="where the embedded stack keeps its state")
    kafka: KafkaSettings = KafkaSettings()
    valkey: ValkeySettings = ValkeySettings()
    api: ApiSettings = ApiSettings()
    capture: CaptureSettings = CaptureSettings()
    detector: DetectorSettings = DetectorSettings()
    live: LiveSettings = LiveSettings()
    archive: ArchiveSettings = ArchiveSettings()
    drift: DriftSettings = DriftSettings()
    alerts: AlertSettings = AlertSettings()
    sampling: SamplingSettings = SamplingSettings()
    store: StoreSettings = StoreSettings()
    labels: LabelSettings = LabelSettings()
    retrain: RetrainSettings = RetrainSettings()
    gate: GateSettings = GateSettings()
    rollout: RolloutSettings = RolloutSettings()
    mqtt: MqttSettings = MqttSettings()
    mlflow: MlflowSettings = MlflowSettings()
    metrics: MetricsSettings = MetricsSettings()
    logs: LogSettings = LogSettings()

    @property
    def bootstrap_servers(self) -> str:
        """Return the cluster in use: the user's, or the embedded broker."""
        return self.kafka.bootstrap_servers or f"127.0.0.1:{self.kafka.port}"

    @property
    def valkey_url(self) -> str:
        """Return the store in use: the user's, or the embedded Valkey. May hold a password: never log it."""
        return self.valkey.url.get_secret_value() or f"redis://127.0.0.1:{self.valkey.port}/0"

    @property
    def mlflow_uri(self) -> str:
        """Return the MLflow in use: the user's, or a SQLite file. May hold a password: never log it."""
        return self.mlflow.tracking_uri.get_secret_value() or f"sqlite:///{self.data_dir.resolve()}/mlflow/mlflow.db"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic-settings' signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let variables win over the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load(file: Path | None = None) -> tuple[Settings, list[str]]:
    """Build the tree.

    Parameters
    ----------
    file
        TOML file; without one ``MASKWATCH_SETTINGS``, else ``maskwatch.toml`` here if it exists.

    Returns
    -------
    settings, warnings
        Warnings are about unknown variables, for the caller to print.

    Raises
    ------
    SettingsError
        If the file is missing or malformed, a key is unknown, or a value does not fit.
    """
    named = file or (Path(os.environ[FILE_VARIABLE]) if os.environ.get(FILE_VARIABLE) else None)
    if named is not None and not named.is_file():
        raise SettingsError(f"no settings file at {named}; leave it out to use the defaults")
    chosen = named or (DEFAULT_FILE if DEFAULT_FILE.is_file() else None)
    if chosen is not None:
        _refuse_unknown_keys(chosen)

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=chosen)

    known = {f"{PREFIX}{name.upper().replace('.', '__')}" for name in names(Settings)}
    warnings = [
        f"unknown variable {variable}; {_hint(variable, known)}"
        for variable in sorted(os.environ)
        if variable.startswith(PREFIX) and variable not in known and variable not in _NOT_SETTINGS
    ]
    try:
        return FromFile(), warnings
    except ValidationError as error:
        problems = "; ".join(_problem(item) for item in error.errors(include_url=False, include_input=False))
        raise SettingsError(f"settings: {problems}") from error
    except UnreadableError as error:
        wrong = ", ".join(not_json(Settings, PREFIX)) or str(error)
        raise SettingsError(f'settings: {wrong}: a list is written as JSON, such as \'["one", "two"]\'') from error


def names(tree: type[BaseModel]) -> Iterator[str]:
    """Yield every setting's dotted name, in the tree's order."""
    for name, field in tree.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from (f"{name}.{below}" for below in names(field.annotation))
        else:
            yield name


def describe(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield every setting's dotted name, effective value (secrets masked) and description."""
    for name in names(Settings):
        value: Any = settings
        owner: type[BaseModel] = Settings
        for part in name.split("."):
            field = owner.model_fields[part]
            value = getattr(value, part)
            owner = field.annotation if isinstance(field.annotation, type) else owner
        yield name, _plain(value), field.description or ""


def _plain(value: object) -> str:
    if isinstance(value, SecretStr):
        return "********" if value.get_secret_value() else ""
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    return "" if value is None else str(value)


def _refuse_unknown_keys(file: Path) -> None:
    try:
        table = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not TOML: {error}") from error
    known = set(names(Settings))
    for name in _dotted(table):
        if name not in known:
            raise SettingsError(f"{file}: unknown key {name}; {_hint(name, known)}")


def _dotted(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _hint(name: str, known: Collection[str]) -> str:
    return did_you_mean(name, sorted(known), otherwise="«maskwatch settings» lists them all")


def _problem(item: Any) -> str:  # noqa: ANN401  # pydantic's ErrorDetails is not exported with its keys
    where = ".".join(str(part) for part in item["loc"])
    return f"{where}: {item['msg']}" if where else str(item["msg"])
