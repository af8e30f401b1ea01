"""What regulations ask of a model's records, in our words, and the fields of a run's record that answer it. Values alone.

A demand without fields is one that no record can answer. Nothing here says that a demand is met: it says where to look.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field, Strict

from reprolock.model.value import Value

Name = Literal["part11", "eu-ai-act", "sr26-2"]


class Demand(NamedTuple):
    """One demand: its number in the source, what it asks for in our words, and the fields that answer it."""

    number: str
    asks: str
    fields: tuple[str, ...] = ()


class Framework(NamedTuple):
    """A source of demands. `note` is what its reader has to know."""

    title: str
    source: str
    demands: tuple[Demand, ...]
    note: str = ""


class FoundField(Value):
    """A field that has a value in this run."""

    field: str
    value: str


class Answer(Value):
    """A demand, and the fields of this run that answer it; none: not covered."""

    number: str
    asks: str
    found: Annotated[tuple[FoundField, ...], Strict(False)] = ()


class Answers(Value):
    """The demands of one source, answered for one run."""

    run: str = Field(description="The run's ID.")
    name: str = Field("", description="The run's name in MLflow.")
    project: str
    title: str
    source: str
    note: str = ""
    answers: Annotated[tuple[Answer, ...], Strict(False)]


_PART11 = Framework(
    "Electronic records and signatures: 21 CFR Part 11",
    "Code of Federal Regulations, Title 21, Part 11 (US FDA)",
    (
        Demand(
            "11.10(a)", "Altered or invalid records can be told from valid ones.", ("record.seal", "record.artifacts")
        ),
        Demand("11.10(b)", "Whole copies can be made for people and for machines.", ("record.artifacts",)),
        Demand("11.10(c)", "Records can be found and read as long as they must be kept.", ("hold.held.until",)),
        Demand("11.10(d)", "Only those who are authorised have access."),
        Demand(
            "11.10(e)",
            "A trail with times, made by the computer, shows who did what in which order.",
            ("intent.created", "run.created", "verdict.created", "review.created", "review.previous"),
        ),
        Demand("11.10(f)", "Steps happen in the order that is allowed.", ("run.previous", "verdict.previous")),
        Demand("11.10(g)", "Only the authorised can sign, use the system or change a record."),
        Demand("11.10(h)", "The device that data comes from is checked."),
        Demand("11.10(i)", "Those who build and use the system are trained for it."),
        Demand("11.10(j)", "Written policies hold people to what they sign."),
        Demand(
            "11.10(k)",
            "Documentation of the system is controlled, with its revisions in time.",
            ("record.code.commit", "record.code.digest", "record.reprolock"),
        ),
        Demand(
            "11.30",
            "In an open system digital signatures keep records authentic and whole.",
            ("intent.signer", "run.signer", "verdict.signer", "review.signer"),
        ),
        Demand("11.50(a)(1)", "A signature shows the signer's printed name.", ("review.name",)),
        Demand("11.50(a)(2)", "A signature shows date and time.", ("review.created",)),
        Demand("11.50(a)(3)", "A signature shows what it means.", ("review.meaning",)),
        Demand(
            "11.70",
            "A signature is bound to its record and cannot be moved to another.",
            ("review.previous", "review.run"),
        ),
        Demand("11.100(a)", "A signature belongs to one person and to nobody else.", ("review.signer",)),
        Demand("11.100(b)", "The person's identity was verified before."),
        Demand("11.200(a)", "Signing takes two components, such as a code and a password."),
        Demand("11.300", "Codes and passwords are controlled."),
    ),
)

_AI_ACT = Framework(
    "High-risk AI systems: the EU AI Act",
    "Regulation (EU) 2024/1689, Articles 10 to 18 and Annex IV",
    (
        Demand(
            "Art. 10(2)(b)",
            "How data was collected, and where it came from.",
            ("record.datasets.uri", "record.datasets.commit"),
        ),
        Demand("Art. 10(2)(c)", "How data was prepared.", ("record.datasets.options", "record.code.digest")),
        Demand("Art. 10(2)(f)", "Data was examined for bias."),
        Demand("Art. 10(3)", "Data is relevant, representative, and as free of errors as it can be."),
        Demand("Art. 12(1)", "Events are logged while the system is in use."),
        Demand("Art. 15(3)", "Levels of accuracy and their metrics are declared.", ("record.metrics", "intent.rules")),
        Demand(
            "Art. 17(1)(d)",
            "Examination, test and validation before, during and after development.",
            ("verdict.verdict.kind",),
        ),
        Demand(
            "Art. 17(1)(f)",
            "How data is managed before and for development.",
            ("record.datasets.digest", "hold.held.branch"),
        ),
        Demand("Art. 17(1)(k)", "Records are kept of all relevant documentation.", ("record.artifacts",)),
        Demand("Art. 18(1)", "Documentation is kept for ten years.", ("hold.held.until",)),
        Demand(
            "Annex IV 1(a)",
            "The intended purpose, the provider, the version.",
            ("record.project", "record.code.commit"),
        ),
        Demand(
            "Annex IV 1(c)",
            "Versions of the software that it relies on.",
            ("record.environment.packages", "record.spark.version"),
        ),
        Demand(
            "Annex IV 2(a)",
            "The methods and steps of development.",
            ("record.command", "record.params", "record.code.files"),
        ),
        Demand("Annex IV 2(b)", "Design choices, their rationale and assumptions."),
        Demand(
            "Annex IV 2(c)",
            "The computing resources that development took.",
            ("record.environment.cores", "record.environment.platform", "record.ending.seconds"),
        ),
        Demand(
            "Annex IV 2(d)",
            "Training data: provenance, scope and main characteristics.",
            ("record.datasets.resolved", "record.datasets.objects", "record.datasets.rows", "record.datasets.digest"),
        ),
        Demand("Annex IV 2(e)", "Measures for human oversight."),
        Demand(
            "Annex IV 2(g)",
            "Validation and test: data, metrics, and reports that are dated and signed.",
            ("record.metrics", "verdict.verdict.reason", "review.name", "review.created"),
        ),
        Demand("Annex IV 2(h)", "Measures of cybersecurity."),
        Demand("Annex IV 5", "The system of risk management."),
        Demand("Annex IV 6", "Changes through the life of the system.", ("record.why",)),
    ),
)

_SR26_2 = Framework(
    "Model risk management: SR 26-2",
    "Federal Reserve SR 26-2, OCC Bulletin 2026-13, FDIC: Revised Guidance on Model Risk Management (17 April 2026)",
    (
        Demand("Inventory", "Each model is listed with its owner, use and state.", ("record.project", "record.run_id")),
        Demand("Development: purpose", "Purpose, theory and assumptions are stated."),
        Demand(
            "Development: data",
            "The data is known, traced, and fit for the purpose.",
            ("record.datasets.uri", "record.datasets.commit", "record.datasets.digest"),
        ),
        Demand(
            "Development: implementation",
            "Code and computation are those that were tested.",
            ("record.code.digest", "record.environment.packages", "record.pinned"),
        ),
        Demand(
            "Development: testing",
            "Tests of accuracy and stability, with their results.",
            ("record.metrics", "intent.rules"),
        ),
        Demand(
            "Validation: independence",
            "Those who validate did not build the model.",
            ("verdict.signer", "review.signer"),
        ),
        Demand("Validation: conceptual soundness", "Design and construction are judged."),
        Demand(
            "Validation: process verification",
            "Inputs and computation are verified to be as designed.",
            ("verdict.verdict.kind", "verdict.verdict.comparisons", "verdict.verdict.unlocked"),
        ),
        Demand("Validation: outcomes", "Outputs are compared with what came true."),
        Demand("Monitoring", "Performance is watched while the model is in use."),
        Demand(
            "Governance: approval",
            "Somebody with the authority approves, and may reject.",
            ("review.name", "review.meaning", "review.created"),
        ),
        Demand("Governance: change control", "Changes are known, and reviewed.", ("record.why", "record.code.commit")),
        Demand(
            "Governance: documentation",
            "Another person can understand and repeat the work.",
            ("record.artifacts", "verdict.replay"),
        ),
        Demand(
            "Vendors",
            "Models and parts from elsewhere are held to the same.",
            ("record.environment.wheels", "record.spark.jars"),
        ),
    ),
    "The guidance sets out principles and numbers no demands: they are named by their subject.",
)

FRAMEWORKS: dict[Name, Framework] = {"part11": _PART11, "eu-ai-act": _AI_ACT, "sr26-2": _SR26_2}
