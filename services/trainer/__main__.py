"""
Trains the router: `python -m services.trainer [--promote] [--data FILE]`.

Reads closed tickets from Postgres (or FILE, redacted), registers a candidate, and with --promote puts it in service
when the gates pass. Killed and started again it goes on where it was; --until STAGE stops early, so that one container
prepares, one fine-tunes and one does the rest, all over the same POINTSMAN_TRAINER_WORK_DIR.

Exit code 0: trained (and promoted when asked to); 1: a problem, said on stderr; 2: wrong usage.
"""

import argparse
import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from services.core.kit.errors import ConfigurationInvalid, InputInvalid, PointsmanError
from services.core.kit.telemetry import configure_logs
from services.core.text.hide import build_hide
from services.trainer.config import FitConfig, Progress
from services.trainer.files import read_file, read_map
from services.trainer.fit import fit
from services.trainer.prepare import Example
from services.trainer.progress import bars
from services.trainer.rules import read_rules
from services.trainer.run import STAGES
from services.trainer.service import Outcome, Registry, train
from services.trainer.settings import Torchrun, TrainerSettings


def main() -> None:
    arguments = _parse_arguments()
    try:
        settings = _settings(arguments)
        configure_logs("trainer", settings.log_level)
        report = _act_together(arguments, settings)
    except PointsmanError as exc:
        sys.exit(f"trainer: {exc}")
    if report is None:
        return
    sys.stdout.write(json.dumps(report) + "\n")
    if arguments.promote and not report.get("canary") and not report.get("promoted", False):
        failed = "; ".join(f"{gate['name']}: {gate['detail']}" for gate in report["gates"] if not gate["passed"])
        sys.exit(f"trainer: {report['version']} is registered but not promoted. Gates not passed: {failed}")


def _act_together(arguments: argparse.Namespace, settings: TrainerSettings) -> dict[str, Any] | None:
    """Under torchrun the first process acts and the others (None) fine-tune with it; else there is one."""
    if Torchrun().world_size == 1:
        return _act(arguments, settings)
    from services.trainer.finetune import dismiss, follow
    from services.trainer.team import join, leave

    team, report = join(), None
    if team.leads:
        report = _act(arguments, settings)
        dismiss(team)
    else:
        follow(team)
    leave()
    return report


def _act(arguments: argparse.Namespace, settings: TrainerSettings) -> dict[str, Any]:
    if arguments.rollback:
        return {"version": _roll_back(settings)}
    if arguments.shadow:
        return {"canaries": _shadow(settings)}
    with _show_progress(arguments.progress) as progress:
        return _run(arguments, settings, progress)


def _run(arguments: argparse.Namespace, settings: TrainerSettings, progress: Progress) -> dict[str, Any]:
    config = settings.fit_config(encoder=arguments.encoder)
    if arguments.out is not None:
        manifest = fit(_read(arguments), arguments.out, config, progress)
        return {"version": manifest.model_version, "folder": str(arguments.out), "metrics": manifest.metrics}
    outcome = _train_registered(arguments, settings, config, progress)
    return {"stopped_after": arguments.until} if outcome is None else asdict(outcome)


def _train_registered(
    arguments: argparse.Namespace, settings: TrainerSettings, config: FitConfig, progress: Progress
) -> Outcome | None:
    from services.core.kit.objects import open_store
    from services.core.kit.schema import connected

    rules = read_rules(settings.trainer_gates)
    with connected(settings) as conn:
        place = Registry(conn, open_store(settings.objects_url), settings.trainer_work_dir, settings.trainer_run_dir)
        return train(
            lambda: _examples(arguments, conn),
            _source(arguments, conn),
            place,
            config,
            rules,
            promote=arguments.promote,
            progress=progress,
            until=arguments.until,
            canary=arguments.canary,
        )


def _roll_back(settings: TrainerSettings) -> str:
    from services.core.kit.objects import open_store
    from services.core.kit.schema import connected
    from services.core.models.registry import rollback

    with connected(settings) as conn:
        return rollback(conn, open_store(settings.objects_url))


def _shadow(settings: TrainerSettings) -> list[dict[str, Any]]:
    from services.core.kit.objects import open_store
    from services.core.kit.schema import connected
    from services.trainer.canary import run_round

    with connected(settings) as conn:
        return [asdict(told) for told in run_round(conn, open_store(settings.objects_url), settings.trainer_work_dir)]


def _examples(arguments: argparse.Namespace, conn: Any) -> list[Example]:
    from services.trainer.repository import read_examples

    if arguments.data is not None:
        return _read(arguments)
    return read_examples(conn)


def _read(arguments: argparse.Namespace) -> list[Example]:
    return read_file(arguments.data, read_map(",".join(arguments.map)), build_hide())


def _source(arguments: argparse.Namespace, conn: Any) -> str:
    """What the examples are read from: an unfinished run over another database or file is not gone on with."""
    if arguments.data is None:
        return f"{conn.info.host}:{conn.info.port}/{conn.info.dbname}"
    return f"{arguments.data.resolve()} {arguments.data.stat().st_mtime_ns} {sorted(arguments.map)}"


def _settings(arguments: argparse.Namespace) -> TrainerSettings:
    if arguments.out is not None and (arguments.data is None or arguments.promote):
        raise ConfigurationInvalid("--out writes a bundle without a registry: give --data FILE, leave --promote.")
    given = {"trainer_epochs": arguments.epochs,
             "trainer_budget_s": arguments.budget_s, "trainer_threads": arguments.threads}  # fmt: skip
    if arguments.until is not None and (arguments.out is not None or arguments.promote):
        raise ConfigurationInvalid(
            "--until stops before there is a model: leave --out and --promote to the last start."
        )
    settings = TrainerSettings.read().model_copy(update={k: v for k, v in given.items() if v is not None})
    if arguments.out is None and not settings.database_url.get_secret_value():
        raise ConfigurationInvalid(
            "Setting POINTSMAN_DATABASE_URL is missing: closed tickets and the model registry live there. For example: "
            "POINTSMAN_DATABASE_URL=postgresql://pointsman@127.0.0.1:5432/pointsman. "
            "Without a database: --data FILE --out FOLDER"
        )
    return settings


@contextmanager
def _show_progress(kind: str) -> Generator[Progress]:
    """`json`: one line per step on stdout; `bar`: one bar per stage on stderr."""
    if kind == "json":
        yield lambda stage, fraction, detail: _write_line(stage, fraction, detail)
        return
    with bars() as progress:
        yield progress


def _write_line(stage: str, fraction: float, detail: str) -> None:
    sys.stdout.write(json.dumps({"stage": stage, "fraction": round(fraction, 4), "detail": detail}) + "\n")
    sys.stdout.flush()


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.trainer", description=__doc__)
    act = parser.add_mutually_exclusive_group()
    act.add_argument("--promote", action="store_true", help="put the model in service when it passes the gates")
    act.add_argument("--rollback", action="store_true", help="train nothing: put the champion before this one back")
    act.add_argument("--shadow", action="store_true", help="train nothing: one round of the canaries, then end")
    parser.add_argument("--canary", action="store_true",
                        help="with --promote: let it shadow live tickets first; --shadow compares")  # fmt: skip
    parser.add_argument("--data", type=Path, help="train on this CSV or JSONL file (.gz too) instead of the history")
    parser.add_argument("--map", action="append", default=[], metavar="FIELD=COLUMN,...",
                        help="columns of fields in --data, as `pointsman evaluate` takes them")  # fmt: skip
    parser.add_argument("--out", type=Path, help="with --data: write the bundle to this new folder, register nothing")
    parser.add_argument("--until", choices=STAGES, help="stop after this stage; the next start goes on")
    parser.add_argument("--epochs", type=int, help="passes over the tickets (default: 3 to 5, more for fewer tickets)")
    parser.add_argument("--encoder", choices=("auto", "finetuned", "frozen"), default="auto",
                        help="frozen: no fine-tuning, a first model within seconds")  # fmt: skip
    parser.add_argument("--budget-s", type=float, help="seconds that all of fine-tuning may take (default 7200)")
    parser.add_argument("--threads", type=int, help="processor threads (default 1)")
    parser.add_argument("--progress", choices=("bar", "json"), default="bar")
    arguments = parser.parse_args()
    try:
        read_map(",".join(arguments.map))
    except InputInvalid as exc:
        parser.error(exc.message)
    return arguments


if __name__ == "__main__":
    main()
