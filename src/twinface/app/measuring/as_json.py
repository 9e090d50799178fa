"""Results for machines: plain dictionaries of numbers, None where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twinface.app.measuring.fairness import FairnessResult
from twinface.app.measuring.figures import Figures
from twinface.app.measuring.folder import FolderResult
from twinface.app.measuring.identify import IdentifyResult
from twinface.app.measuring.lfw import LfwResult
from twinface.app.measuring.system import System
from twinface.evaluation.fairness import Differential
from twinface.evaluation.intervals import Interval
from twinface.evaluation.verification import Confusion, confusion


def lfw_json(result: LfwResult, system: System) -> dict[str, Any]:
    """The figures of `evaluate lfw`; of View 1, those at the deployed threshold, or at the best one without it."""
    options = result.options
    if result.folded is not None:
        judged, accuracy, deviation = result.folded.confusion, result.folded.mean, result.folded.deviation
        threshold = sum(result.folded.thresholds) / len(result.folded.thresholds)
    else:
        found = result.at_deployed or result.at_best
        assert found is not None  # View 1 always has a best threshold
        threshold, judged = found
        accuracy, deviation = judged.accuracy or 0.0, None
    report: dict[str, Any] = {
        "protocol": options.protocol,
        "split": options.split if options.protocol == "view1" else None,
        "dataset": result.dataset,
        "accuracy": accuracy,
        "accuracy_std": deviation,
        "precision": judged.precision,
        "recall": judged.recall,
        "f1": judged.f1,
        **_verification(result.figures),
        "threshold": threshold,
        "failures": result.failed_pictures,
        "pictures": result.pictures,
        "failure_to_acquire": _interval(result.failures),
        "poor": {
            "pictures": result.poor.pictures,
            "pairs": result.poor.pairs,
            "accuracy_refusing_them": result.poor.accuracy,
        },
        "seconds": round(result.seconds, 3),
        **_about(system, result.notes),
    }
    if result.folded is not None:
        report["folds"] = list(result.folded.folds)
    else:
        for name, at in (("at_deployed", result.at_deployed), ("at_best", result.at_best)):
            report[name] = None if at is None else {"threshold": at[0], **_confusion(at[1])}
    return report


def folder_json(result: FolderResult, system: System) -> dict[str, Any]:
    """The figures of `evaluate folder`; accuracy and the like at the deployed threshold, or at the suggested one."""
    found = result.suggestion
    at = system.rule.point().threshold if system.rule is not None else found.value if found is not None else None
    judged = None if at is None else confusion(result.pairing.scores, at)
    return {
        "dataset": result.dataset,
        "accuracy": None if judged is None else judged.accuracy,
        "accuracy_std": None,
        "precision": None if judged is None else judged.precision,
        "recall": None if judged is None else judged.recall,
        "f1": None if judged is None else judged.f1,
        "threshold": None if at is None else at,
        **_verification(result.figures),
        "suggestion": None
        if found is None
        else {"fmr": result.fmr, "threshold": found.value, "low": found.low, "high": found.high},
        "failures": len(result.failed),
        "pictures": len(result.paths),
        "failure_to_acquire": _interval(result.failures),
        "failed": [{"path": path, "reasons": reasons} for path, reasons in result.failed],
        "warnings": list(result.warnings),
        "seconds": round(result.seconds, 3),
        **_about(system, result.notes),
    }


def identify_json(result: IdentifyResult, system: System) -> dict[str, Any]:
    """The figures of `evaluate identify`."""
    return {
        "dataset": result.dataset,
        "subjects": result.subjects,
        "galleries": [
            {
                "gallery": one.gallery,
                "draws": one.draws,
                "fpir": one.fpir,
                "fpir_reached": one.fpir_reached,
                "fnir": _interval(one.fnir),
                "threshold": one.threshold,
                "rank1": _interval(one.rank1),
                "cmc": list(one.cmc),
                "probes_mated": one.probes_mated,
                "probes_non_mated": one.probes_non_mated,
                "people_mated": one.people_mated,
                "people_non_mated": one.people_non_mated,
                "deployed": None
                if one.deployed is None
                else {
                    "threshold": one.deployed.threshold,
                    "fpir": _interval(one.deployed.fpir),
                    "fnir": _interval(one.deployed.fnir),
                },
            }
            for one in result.sets
        ],
        "failures": result.failed_pictures,
        "pictures": result.pictures,
        "failure_to_acquire": _interval(result.failures),
        "seconds": round(result.seconds, 3),
        **_about(system, result.notes),
    }


def fairness_json(result: FairnessResult, system: System) -> dict[str, Any]:
    """The figures of `evaluate fairness`: one key a grouping, and what they all share under `about`."""
    report: dict[str, Any] = {}
    for way in result.groupings:
        report[way.name] = _differential(way.matches, "fmr")
        report[way.name]["fnmr"] = None if way.non_matches is None else _differential(way.non_matches, "fnmr")
    report["about"] = {
        "dataset": result.dataset,
        "target_fmr": result.point.fmr,
        "threshold": result.point.threshold,
        "threshold_from": result.point.dataset,
        "ungrouped": None if result.ungrouped is None else _differential(result.ungrouped, "fnmr"),
        "failures": result.failed_pictures,
        "pictures": result.pictures,
        "failure_to_acquire": _interval(result.failures),
        "seconds": round(result.seconds, 3),
        **_about(system, result.notes),
    }
    return report


def _verification(figures: Figures) -> dict[str, Any]:
    return {
        "eer": None if figures.eer is None else figures.eer.value,
        "auc": None if figures.auc is None else figures.auc.value,
        "tar": {f"{target:g}": None if tar is None else tar.value for target, tar in figures.tar.items()},
        "intervals": {
            "eer": _ends(figures.eer),
            "auc": _ends(figures.auc),
            "tar": {f"{target:g}": _ends(tar) for target, tar in figures.tar.items()},
        },
        "pairs": figures.pairs,
        "mated": figures.mated,
        "subjects": figures.subjects,
        "failed_pairs": figures.failed_pairs,
        "deployed": [
            {
                "target_fmr": one.target,
                "threshold": one.threshold,
                "fmr": _interval(one.fmr),
                "fnmr": _interval(one.fnmr),
                "right": _interval(one.right),
            }
            for one in figures.deployed
        ],
    }


def _differential(found: Differential, name: str) -> dict[str, Any]:
    return {
        "groups": {
            one.group: {
                name: one.rate,
                "low": one.low,
                "high": one.high,
                "n": one.pairs,
                "errors": one.errors,
                "persons": one.subjects,
                "small": one.small,
            }
            for one in found.groups
        },
        "worst": found.worst,
        "best": found.best,
        "ratio": found.ratio,
        "ratio_at_least": found.ratio_at_least,
        "p": found.p,
    }


def _confusion(found: Confusion) -> dict[str, float | None]:
    return {"accuracy": found.accuracy, "precision": found.precision, "recall": found.recall, "f1": found.f1}


def _about(system: System, notes: tuple[str, ...]) -> dict[str, Any]:
    return {"model": system.encoder.name, "detector": system.detector.name, "notes": list(notes)}


def _interval(found: Interval | None) -> Mapping[str, float] | None:
    return None if found is None else {"value": found.value, "low": found.low, "high": found.high}


def _ends(found: Interval | None) -> list[float] | None:
    return None if found is None else [found.low, found.high]
