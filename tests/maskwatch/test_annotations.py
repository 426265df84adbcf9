from math import isnan
from pathlib import Path

import pytest

from maskwatch.annotations import (
    Annotation,
    MarkedObject,
    annotations,
    missing_part,
    pictures_by_stem,
    read_annotation,
    write_annotation,
)
from maskwatch.errors import AnnotationError
from maskwatch.messages import MarkedFace


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a.xml"
    file.write_bytes(write_annotation("a.jpg", (200, 100), [MarkedFace("with_mask", (0.1, 0.2, 0.5, 0.9))]))
    assert read_annotation(file) == Annotation(200, 100, (MarkedObject("with_mask", (20, 20, 100, 90)),))


def test_what_is_not_told_is_not_made_up(tmp_path: Path) -> None:
    file = tmp_path / "a.xml"
    file.write_text("<annotation><object><bndbox><xmin>1</xmin></bndbox></object></annotation>")
    width, height, ((name, box),) = read_annotation(file)
    assert (width, height, name, box[0]) == (0, 0, "", 1)
    assert all(isnan(side) for side in box[1:])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<annotation>", "not XML"),
        ("<annotation><size><width>wide</width></size></annotation>", "not made of numbers"),
        ("", "not XML"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "not XML"),
        ("<html/>", "XML of another kind: <html>"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "a.xml"
    file.write_text(text)
    with pytest.raises(AnnotationError, match=says):
        read_annotation(file)


def test_an_annotation_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="it cannot be read: No such file or directory"):
        read_annotation(tmp_path / "a.xml")


def test_entities_that_would_grow_without_bound_are_refused(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(12))
    text = f'<!DOCTYPE annotation [<!ENTITY e0 "laugh">{entities}]><annotation><folder>&e12;</folder></annotation>'
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(AnnotationError, match=r"not XML: .*amplification"):
        read_annotation(tmp_path / "a.xml")


def test_the_parts_of_a_folder(tmp_path: Path) -> None:
    assert missing_part(tmp_path) == "images"
    (tmp_path / "images").mkdir()
    assert missing_part(tmp_path) == "annotations"
    (tmp_path / "annotations").mkdir()
    assert missing_part(tmp_path) == ""
    for name in ("images/b.PNG", "images/a.jpg", "images/notes.txt", "annotations/b.xml", "annotations/a.xml"):
        (tmp_path / name).touch()
    assert list(pictures_by_stem(tmp_path)) == ["a", "b"]
    assert [path.name for path in annotations(tmp_path)] == ["a.xml", "b.xml"]
