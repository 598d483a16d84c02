"""Compare byte-level BPE and WordPiece at three vocabulary sizes on held-out text.

    python -m training.tokenizer_comparison --data runs/first/data [--write-docs]

Both learn from every text of the training split, the synthetic ones included, and are measured on
the validation split, on its free questions alone (DermaVQA), on symptom words and drug names, and
on strings that are hard to bring back. Prints the table and the winner; `--write-docs` puts both
into docs/data.md. Takes seconds on a CPU. WordPiece's trainer breaks ties by chance, so its third
decimal differs from run to run.

The rule was fixed before any number was seen: every hard string comes back and no word is unknown;
among those, a doubling of the vocabulary must save at least 2 % of the tokens to be worth its rows
in the embedding table; then the fewest tokens a word on validation text win.
"""

from __future__ import annotations

import argparse
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
from tqdm import tqdm

from dermmm.tokenizer import MASK, PAD, Tokenizer
from training.dataset import cases_with_text, read_manifest, read_synthetic, read_texts
from training.marked_text import between_markers
from training.stage import write_whole

DOCS = Path(__file__).resolve().parent.parent / "docs" / "data.md"
START = "<!-- tokenizer: written by training.tokenizer_comparison -->"
END = "<!-- end of tokenizer -->"

VOCABULARIES = (2000, 4000, 8000)
MAX_TOKENS = 128  # what the text encoder reads
WORTH = 0.02  # share of tokens that the next larger vocabulary must save
UNKNOWN = "[UNK]"

SYMPTOMS = """
itching pruritus burning stinging soreness tenderness numbness tingling throbbing swelling oedema
redness erythema blistering vesicles bullae pustules papules macules plaques nodules wheals hives
scaling flaking peeling crusting oozing weeping bleeding bruising purpura petechiae ulceration
erosion fissures lichenification excoriations hyperpigmentation hypopigmentation depigmentation
telangiectasia xerosis dryness thickening induration atrophy scarring comedones alopecia
onycholysis pitting paronychia photosensitivity flushing sweating hyperhidrosis warmth fever chills
fatigue malaise lymphadenopathy arthralgia myalgia headache nausea dyspnoea stomatitis
conjunctivitis
"""
DRUGS = """
hydrocortisone betamethasone clobetasol mometasone triamcinolone prednisolone tacrolimus
pimecrolimus calcipotriol tretinoin adapalene isotretinoin acitretin doxycycline minocycline
erythromycin clindamycin azithromycin amoxicillin flucloxacillin cefalexin mupirocin metronidazole
ivermectin permethrin terbinafine fluconazole itraconazole ketoconazole clotrimazole nystatin
aciclovir valaciclovir cetirizine loratadine fexofenadine hydroxyzine methotrexate ciclosporin
azathioprine hydroxychloroquine dapsone adalimumab ustekinumab secukinumab dupilumab omalizumab
imiquimod fluorouracil spironolactone
"""
HARD = (
    "itchy rashh on my fourarm, verry soar",
    "it dosnt realy hurt but its definately biger then befor",
    "SLIGHTLY Raised, NOT painful",
    "McDonald's iPhone pH SpO2 HbA1c",
    "2.5 cm x 1.8 cm, 3-4 mm deep",
    "5 mg/kg twice daily, 0.05% cream, 10 µg/mL",
    "37.5 °C since 01/02/2024 at 14:30",
    "<1 week & >50 % of the body ± fever",
    "naïve café-au-lait spots",
    "Señora, le pica la piel del cuello",
    "größer geworden, weiß, Fuß, Öl",
    "éruption œdémateuse après l'été",
    "nai\u0308ve cafe\u0301",  # combining accents
    "皮疹 手臂发痒三天",
    "сыпь на руке",
    "طفح جلدي",
    "खुजली वाले दाने",
    "it itches 😖🔥 since monday 👍🏽",
    "don’t know… “maybe” an insect – or a plant?",
    "tabs\tand\nnew lines",
    "red,scaly(both arms);no fever!!!",
    "a_b #itch @night 1:2 ~3x c/o n/a w/o",
)


@dataclass(frozen=True)
class Lengths:
    """How long texts become: a word is what stands between white space."""

    mean: float  # tokens a word over all texts together
    p95: float  # 95th percentile over texts of a text's tokens a word
    too_long: float  # share of texts of more than MAX_TOKENS tokens


@dataclass(frozen=True)
class Measured:
    """One tokenizer's results; rates are from 0 to 1."""

    kind: str
    asked: int  # vocabulary asked for
    learned: int  # vocabulary reached: less where the text holds no more pairs
    validation: Lengths
    questions: Lengths | None  # DermaVQA; None where the validation split has no such text
    unknown: dict[str, float]  # by word list, the share of words with an unknown part
    round_trip: float  # share of HARD that comes back, white space aside
    exact: float  # the same with white space

    @property
    def is_sound(self) -> bool:
        return self.round_trip == 1 and not any(self.unknown.values())


def train_bpe(texts: Iterable[str], vocabulary: int) -> Backend:
    """The package's own tokenizer."""
    return Tokenizer.train(texts, vocabulary).backend


def train_wordpiece(texts: Iterable[str], vocabulary: int) -> Backend:
    """WordPiece as in BERT (Devlin et al. 2019, arXiv:1810.04805), with case and accents kept."""
    backend = Backend(models.WordPiece(unk_token=UNKNOWN))
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.BertNormalizer(strip_accents=False, lowercase=False)]
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.train_from_iterator(
        texts,
        trainers.WordPieceTrainer(
            vocab_size=vocabulary, special_tokens=[PAD, MASK, UNKNOWN], show_progress=False
        ),
    )
    return backend


KINDS: dict[str, Callable[[Iterable[str], int], Backend]] = {
    "byte-level BPE": train_bpe,
    "WordPiece": train_wordpiece,
}


def lengths(backend: Backend, texts: Sequence[str]) -> Lengths:
    """Measure texts (at least one, each with a word)."""
    tokens = np.array([len(encoding.ids) for encoding in backend.encode_batch(list(texts))])
    words = np.array([len(text.split()) for text in texts])
    return Lengths(
        mean=float(tokens.sum() / words.sum()),
        p95=float(np.quantile(tokens / words, 0.95)),
        too_long=float((tokens > MAX_TOKENS).mean()),
    )


def unknown_rate(backend: Backend, words: Sequence[str]) -> float:
    """Share of words of which a part is unknown, 0..1."""
    unknown = [UNKNOWN in encoding.tokens for encoding in backend.encode_batch(list(words))]
    return sum(unknown) / len(words)


def round_trip_rate(backend: Backend, texts: Sequence[str], exact: bool = False) -> float:
    """Share of texts that are the same after encoding and decoding, 0..1.

    Composed and combining accents count as the same (NFC). WordPiece does not record white space,
    so that it is compared only where ``exact``, apart from that at the ends.
    """

    def comparable(text: str) -> str:
        composed = unicodedata.normalize("NFC", text)
        return composed.strip() if exact else "".join(composed.split())

    back = [backend.decode(backend.encode(text).ids) for text in texts]
    same = [comparable(one) == comparable(text) for one, text in zip(back, texts, strict=True)]
    return sum(same) / len(texts)


def measure(
    kind: str,
    vocabulary: int,
    training: Sequence[str],
    validation: Sequence[str],
    questions: Sequence[str],
) -> Measured:
    """Train one tokenizer and measure it."""
    backend = KINDS[kind](training, vocabulary)
    backend.no_truncation()
    backend.no_padding()
    return Measured(
        kind=kind,
        asked=vocabulary,
        learned=backend.get_vocab_size(),
        validation=lengths(backend, validation),
        questions=lengths(backend, questions) if questions else None,
        unknown={
            "validation": unknown_rate(backend, " ".join(validation).split()),
            "symptoms": unknown_rate(backend, SYMPTOMS.split()),
            "drugs": unknown_rate(backend, DRUGS.split()),
        },
        round_trip=round_trip_rate(backend, HARD),
        exact=round_trip_rate(backend, HARD, exact=True),
    )


def winner(measured: Sequence[Measured]) -> Measured:
    """Apply the rule that this module's text states.

    Raises:
        ValueError: no tokenizer keeps every text.
    """
    best = []
    for kind in dict.fromkeys(one.kind for one in measured if one.is_sound):
        sound = [one for one in measured if one.kind == kind and one.is_sound]
        chosen, *larger = sorted(sound, key=lambda one: one.asked)
        for one in larger:
            if one.validation.mean > (1 - WORTH) * chosen.validation.mean:
                break
            chosen = one
        best.append(chosen)
    if not best:
        raise ValueError(
            f"none of {len(measured)} tokenizers brings every hard string back without an unknown "
            "word; add one that falls back to bytes"
        )
    return min(best, key=lambda one: (one.validation.mean, one.asked))


def compare(data: Path) -> tuple[list[Measured], str]:
    """Measure every kind at every vocabulary, and say on how many texts.

    Raises:
        ValueError: the validation split has no text.
    """
    manifest = read_manifest(data)
    train, held_out = (cases_with_text(manifest, split) for split in ("train", "val"))

    def wordings(*read: list[list[str]]) -> list[str]:
        return [text for part in read for variants in part for text in variants]

    training = wordings(read_texts(data, train), read_texts(data, read_synthetic(data)))
    validation = wordings(read_texts(data, held_out))
    questions = wordings(read_texts(data, held_out[held_out["source"] == "dermavqa_iiyi"]))
    if not validation:
        raise ValueError(f"{data} has no text in its validation split; clean more sources")
    pairs = [(kind, vocabulary) for kind in KINDS for vocabulary in VOCABULARIES]
    measured = [
        measure(kind, vocabulary, training, validation, questions)
        for kind, vocabulary in tqdm(pairs, desc="tokenizers", unit="tokenizer")
    ]
    told = (
        f"Learned from {len(training)} texts, measured on {len(validation)} validation texts "
        f"({len(questions)} of them DermaVQA questions), {len(SYMPTOMS.split())} symptom words, "
        f"{len(DRUGS.split())} drug names and {len(HARD)} hard strings."
    )
    return measured, told


def report(measured: Sequence[Measured], told: str) -> str:
    """The table and the winner as Markdown."""
    lines = [
        told,
        "",
        "| tokenizer | vocabulary | tokens a word (95th percentile) | on DermaVQA "
        f"| texts over {MAX_TOKENS} tokens | on DermaVQA "
        "| unknown words: validation, symptoms, drugs | round trip | with white space |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in measured:
        every, asked = one.validation, one.questions
        lines.append(
            f"| {one.kind} | {one.asked}"
            f"{f' (reached {one.learned})' if one.learned < one.asked else ''} "
            f"| {every.mean:.3f} ({every.p95:.2f}) "
            f"| {f'{asked.mean:.3f} ({asked.p95:.2f})' if asked else '–'} "
            f"| {100 * every.too_long:.1f} % "
            f"| {f'{100 * asked.too_long:.1f} %' if asked else '–'} "
            f"| {', '.join(f'{100 * rate:.2f} %' for rate in one.unknown.values())} "
            f"| {100 * one.round_trip:.0f} % | {100 * one.exact:.0f} % |"
        )
    best = winner(measured)
    lines += ["", f"Winner: {best.kind} with a vocabulary of {best.learned}."]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="what training.clean wrote")
    parser.add_argument("--write-docs", action="store_true", help="renew the table in docs/data.md")
    options = parser.parse_args()
    written = report(*compare(options.data))
    print(written)
    if options.write_docs:
        page = DOCS.read_text(encoding="utf-8")
        write_whole(DOCS, between_markers(page, START, END, written))
