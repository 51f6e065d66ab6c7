"""Plans what should run on this machine, and the configuration files for it. Writes nothing and starts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from teal.laptop import supervisor, versions
from teal.laptop.configuration import color_env, color_programs, config_of, declared_programs, secrets_of, service_env
from teal.laptop.parts import registry
from teal.laptop.parts.part import PartContext
from teal.laptop.program import Program, file_of, program_json
from teal.laptop.released import configured, releases
from teal.laptop.secrets import metrics_token, probe_secret
from teal.record.model import Record


@dataclass(frozen=True, slots=True)
class LaptopPlan:
    """What should run: the chosen state, the programs, and their configuration files."""

    place: PartContext
    programs: tuple[Program, ...]  # that belong to no color, in starting order
    of_colors: tuple[Program, ...]
    record: Record  # the active color's configuration is what this shell wants
    files: Mapping[Path, str]  # a changed text means a restart
    once: Mapping[Path, str]  # of programs that end by themselves: each start reads its file, so a changed text needs no restart
    secrets: Mapping[str, str]


def plan(place: PartContext, record: Record) -> LaptopPlan:
    """Everything that will be written and run.
    Raises BadInput when a part cannot run here, such as Elasticsearch without a JDK."""
    layout = place.layout
    programs = tuple(program for part in registry.PARTS for program in part.programs(place))
    env = service_env(place)
    record = configured(record, config_of(env))
    running: list[Program] = []
    for color, release in releases(record):
        version = versions.find_version(layout, release.image)
        whole = color_env(color, release, secrets_of(env), code=version.code, probe_secret=probe_secret(layout, color),
                          metrics_token=metrics_token(layout))  # fmt: skip
        running += color_programs(place, color, whole, version.python)
    files = {
        file_of(layout, program.name): program_json(program, layout) for program in (*programs, *running) if not program.once
    }
    once = {file_of(layout, program.name): program_json(program, layout) for program in programs if program.once}
    files[layout.conf / "supervisord.conf"] = supervisor.supervisord_conf(layout, (*programs, *declared_programs(place)))
    for part in registry.PARTS:
        files |= part.files(place)
    return LaptopPlan(place, programs, tuple(running), record, files, once, secrets_of(env))
