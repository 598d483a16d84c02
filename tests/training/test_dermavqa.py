"""DermaVQA's reader, on made-up encounters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dermmm.conditions import NAMES
from training.sources.dermavqa_iiyi import agreed, read


def made_encounter(number: int, content: str, replies: list[str]) -> dict[str, object]:
    return {
        "encounter_id": f"ENC{number}",
        "image_ids": [f"IMG_ENC{number}_1.jpg", f"IMG_ENC{number}_2.png"],
        "query_title_en": "Please help",
        "query_content_en": content,
        "responses": [
            {"author_id": f"U{author}", "content_en": reply} for author, reply in enumerate(replies)
        ],
    }


def write(folder: Path, **files: list[dict[str, object]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, encounters in files.items():
        (folder / f"{name}.json").write_text(json.dumps(encounters), encoding="utf-8")


@pytest.mark.parametrize(
    ("replies", "label"),
    [
        (["Eczema.", "chronic eczema"], "eczema"),
        (["Eczema.", "atopic dermatitis", "Psoriasis?"], "eczema"),
        (["Eczema", "Eczema", "keep it dry"], "eczema"),
        (["Psoriasis", "Psoriasis", "Eczema", "not eczema"], ""),  # half is no majority
        (["Psoriasis"], ""),  # one opinion is no agreement
        (["Psoriasis", "Eczema"], ""),
        (["Psoriasis or eczema", "Psoriasis or eczema"], ""),  # undecided replies
        (["not scabies", "rule out scabies", "it isn't scabies"], ""),
        (["Scabies, not eczema", "Scabies"], "scabies"),
        (["tinea", "tinea", "tinea", "Eczema", "Eczema"], ""),  # another disease
        (["papular urticaria", "papular urticaria"], ""),
        (["", "thank you"], ""),
        ([], ""),
    ],
)
def test_agreed(replies: list[str], label: str) -> None:
    assert agreed([(str(author), reply) for author, reply in enumerate(replies)]) == label


def test_one_author_has_one_voice() -> None:
    assert agreed([("a", "Vitiligo"), ("a", "Vitiligo!"), ("a", "I say vitiligo")]) == ""


def test_rows_without_photos(tmp_path: Path) -> None:
    write(
        tmp_path,
        train=[
            made_encounter(1, "Is this psoriasis? It itches at night.", ["Vitiligo", "vitiligo"]),
            made_encounter(2, "A red patch on the arm for a week.", ["Wart", "No idea"]),
        ],
        valid=[made_encounter(3, "Eczema?", ["eczema", "eczema"])],
    )
    first, second, third = read(tmp_path)
    assert first.id == first.group_id == "dermavqa_iiyi:ENC1"
    assert first.text == "Please help. Is this [condition]? It itches at night."
    assert (first.label, first.unusable) == ("vitiligo", "")
    assert first.label in NAMES
    assert (first.photo, first.photo_kind, first.fields) == (None, "", {})
    assert (second.label, second.unusable) == ("", "no clear majority among the replies")
    assert third.unusable == "text without content"


def test_one_row_a_photo(tmp_path: Path) -> None:
    write(tmp_path, test=[made_encounter(7, "A rash on both arms.", ["acne", "acne"])])
    (tmp_path / "images" / "test").mkdir(parents=True)
    for name in ("IMG_ENC7_1.jpg", "IMG_ENC7_2.jpg", "IMG_ENC8_1.jpg"):
        (tmp_path / "images" / "test" / name).touch()
    rows = list(read(tmp_path))
    assert [row.id for row in rows] == ["dermavqa_iiyi:ENC7:1", "dermavqa_iiyi:ENC7:2"]
    assert {row.group_id for row in rows} == {"dermavqa_iiyi:ENC7"}
    assert [row.photo.name for row in rows if row.photo] == ["IMG_ENC7_1.jpg", "IMG_ENC7_2.jpg"]
    assert {(row.label, row.photo_kind) for row in rows} == {("acne", "clinical")}


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="unpack the download"):
        list(read(tmp_path))
    write(tmp_path, train=[{"encounter_id": "ENC1"}])
    with pytest.raises(ValueError, match="responses"):
        list(read(tmp_path))
