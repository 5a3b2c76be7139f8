"""CSV and TSV: what the columns mean, what is refused with its row, and that what is written is read again."""

import csv as standard_csv
from pathlib import Path

import pytest

from luthier.data import check, readers
from luthier.data.readers.found import Extra
from luthier.data.writers import csv as csv_writer
from luthier.data.writers import imagefolder as imagefolder_writer
from luthier.errors import InvalidRequest, NoTrainingData
from luthier.runs.manifest import Example, Region
from tests.data.layouts import SPLITS, again, picture, reasons, without_place


def table(tmp_path: Path, text: str | bytes, name: str = "data.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(path: Path, **options: object) -> str:
    with pytest.raises(InvalidRequest) as caught:
        readers.read(path, **options)  # type: ignore[arg-type]
    return caught.value.details


def test_text_and_label(tmp_path: Path) -> None:
    result = readers.read(table(tmp_path, 'text,label\n"Hi, ""you""\nthere",good\nBuy!,"bad, very"\n'))
    assert [(one.id, one.text, one.labels) for one in result.examples] == [
        ("row-2", 'Hi, "you"\nthere', {"good": 1}),
        ("row-3", "Buy!", {"bad, very": 1}),
    ]
    assert [concept.id for concept in result.concepts] == ["bad, very", "good"]
    assert all(len(one.blob) == 64 for one in result.examples)


def test_pictures_with_labels_and_splits(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / "pictures" / f"{name}.png")
    rows = "pictures/a.png,cat,train\npictures/b.png,dog,Validation\npictures/c.png,dog,\n"
    result = readers.read(table(tmp_path, f"image,label,split\n{rows}"))
    assert [(one.id, one.split, one.labels, one.width) for one in result.examples] == [
        ("pictures/a.png", "train", {"cat": 1}, 40),
        ("pictures/b.png", "val", {"dog": 1}, 40),
        ("pictures/c.png", "train", {"dog": 1}, 40),
    ]


def test_without_a_split_column_inputs_are_split_80_10_10(tmp_path: Path) -> None:
    rows = "".join(f"text {n},{'ab'[n % 2]}\n" for n in range(100))
    result = readers.read(table(tmp_path, "text,label\n" + rows))
    splits = [one.split for one in result.examples]
    assert (splits.count("train"), splits.count("val"), splits.count("test")) == (80, 10, 10)


def test_the_platforms_columns(tmp_path: Path) -> None:
    text = 'inputid,input,concepts,metadata\none,Guten Tag,"german,greeting",{}\ntwo,Bye,,{}\n'
    first, second = readers.read(table(tmp_path, text)).examples
    assert (first.id, first.text, first.labels) == ("one", "Guten Tag", {"german": 1, "greeting": 1})
    assert (second.id, second.labels) == ("two", {})
    picture(tmp_path / "a.png")
    (only,) = readers.read(table(tmp_path, "inputid,input,concepts\nx,a.png,cat\n", "p.csv")).examples
    assert (only.id, only.width, only.text) == ("x", 40, "")


def test_other_names_by_mapping_and_tabs(tmp_path: Path) -> None:
    path = table(tmp_path, "body\tclass\ttext\nhello\tgreeting\tnot this\n", "data.tsv")
    (only,) = readers.read(path, {"text": "body", "label": "class"}).examples
    assert (only.text, only.labels) == ("hello", {"greeting": 1})
    assert "no column 'clas' for label; it has body, class, text" in refused(path, columns={"label": "clas"})
    assert "'words' is not known; give one of text" in refused(path, columns={"words": "body"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "text,label\na,b\nc\nd,e,f\n",
            "2 rows cannot be read. row 3: it has 1 cells, the header has 2; row 4: it has 3",
        ),
        ('text,label\na,b\n"c,d\ne,f\n', "row 3, which begins in line 3: a quote is opened and never closed"),
        ('text,label\n"a" x,b\n', "row 2, which begins in line 2:"),
        ("text,label\n" + ",".join("x" * 3000) + "\n", "row 2: it has 3000 cells"),
        (",".join(f"c{n}" for n in range(1_000_000)) + "\n", "row 1 has 1000000 columns; the most is 1000"),
        ("text,label\na,b\ntext,label\n", "row 3: it repeats the header"),
        ("text,label,text\na,b,c\n", "row 1 names columns twice: text"),
        ("text,label\na,b\r\nc,d\n", "row 2: it ends with CR LF, the header with LF"),
        ("text,label\na,b\rc,d\n", "row 2: it ends with CR, the header with LF"),
        ("", "row 1 is empty"),
        ("text;label\na;b\n", "row 1 is one column, 'text;label', when cut at a comma"),
        ("words,label\na,b\n", "one column must be called text, image or input, none are; it has words, label"),
        ("text,image,label\na,b,c\n", "one column must be called text, image or input, 2 are"),
        ("text,label\n,b\n", "row 2: its text is empty"),
        ("text,label,split\na,b,trial\n", "row 2: its split is trial; give one of train, val, test"),
        ("text,label\na,x/y\n", "row 2: the concept x/y cannot be used"),
        ("inputid,text,concepts\n1,a,\n1,b,\n", "row 3: the id 1 stands in row 2 already"),
        ("text,concepts,negative_concepts\na,x,x\n", "row 2: x stands among its concepts and its negative concepts"),
    ],
)
def test_bad_E7_tables_are_refused_with_the_row(text: str, says: str, tmp_path: Path) -> None:
    path = table(tmp_path, text)
    details = refused(path)
    assert says in details and str(path) in details


def test_bad_E7_good_rows_are_kept_if_asked(tmp_path: Path) -> None:
    result = readers.read(table(tmp_path, "text,label\na,b\nc\nd,e\n"), keep_good=True)
    assert [one.text for one in result.examples] == ["a", "d"]
    assert reasons(result) == {"row 3": "it has 1 cells, the header has 2"}


def test_bad_E7_a_long_cell_is_read_and_the_limit_of_others_stays(tmp_path: Path) -> None:
    before = standard_csv.field_size_limit()
    (only,) = readers.read(table(tmp_path, "text,label\n" + "x" * 1_000_000 + ",b\n")).examples
    assert len(only.text) == 1_000_000 and standard_csv.field_size_limit() == before


def test_bad_E4_wrong_encodings_name_the_byte(tmp_path: Path) -> None:
    assert "byte 15 (in line 2) is 0xe9; save it as UTF-8" in refused(table(tmp_path, b"text,label\ncaf,\xe9\n"))
    assert "UTF-16" in refused(table(tmp_path, "text,label\na,b\n".encode("utf-16")))
    (only,) = readers.read(table(tmp_path, b"\xef\xbb\xbftext,label\na,b\n")).examples
    assert (only.text, only.labels) == ("a", {"b": 1})


def test_pictures_that_are_not_there_or_lie_outside_count_as_invalid(tmp_path: Path) -> None:
    picture(tmp_path / "secret.png")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "data" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    names = [
        "../secret.png",
        "link.png",
        "gone.png",
        "http://x.example/a.png",
        "broken.png",
        str(tmp_path / "secret.png"),
    ]
    rows = "".join(f"{name},a\n" for name in names)
    result = readers.read(table(tmp_path, "image,label\n" + rows, "data/inputs.csv"))
    assert all(one.invalid for one in result.examples) and len(result.examples) == 6
    said = reasons(result)
    assert "leads out" in said["../secret.png"] and "leads out" in said["link.png"]
    assert "no file gone.png" in said["gone.png"] and "not fetched" in said["http://x.example/a.png"]
    assert "leads out" in said[names[5]]


def test_the_same_picture_twice_asks_for_one_row(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    assert "several labels in one row" in refused(table(tmp_path, "image,label\na.png,x\na.png,y\n"))


def test_a_table_without_rows_holds_no_data(tmp_path: Path) -> None:
    with pytest.raises(NoTrainingData):
        readers.read(table(tmp_path, "text,label\n"))


def test_what_is_no_layout_lists_the_layouts(tmp_path: Path) -> None:
    for path in (table(tmp_path, "hello", "notes.docx"), table(tmp_path, "{}", "x.json")):
        assert (
            "cannot be read" in refused(path) and ".jsonl" in refused(path) and "sub-folder per class" in refused(path)
        )
    (tmp_path / "tables").mkdir()
    table(tmp_path, "text,label\na,b\n", "tables/mine.csv")
    assert "if mine.csv tells the labels, give its path" in refused(tmp_path / "tables")


TEXTS = [
    "plain",
    '=cmd|"/C calc"!A1',
    "'=kept",
    "-5 °C",
    "a,b\r\nc\nd\re",
    " outer ",
    "'tis",
    "\u202ertl \x00",
    "x" * 300_000,
]


def test_texts_written_as_csv_are_read_again(tmp_path: Path) -> None:
    labels = [{"a": 1}, {"b, c": 1, 'say "d"': 1}, {"a": 0}, {"a": 1, "Äpfel": 0}, {}]
    before = [Example(f"=id {n}", "", SPLITS[n % 4], labels[n % 5], text=text) for n, text in enumerate(TEXTS)]
    first = again(csv_writer.write, before, tmp_path / "first")
    assert [(one.id, one.text, one.labels, one.split) for one in first.examples] == [
        (one.id, one.text, one.labels, one.split) for one in before
    ]
    assert again(csv_writer.write, first.examples, tmp_path / "second") == first


def test_bad_E6_formulas_are_guarded_in_what_is_written(tmp_path: Path) -> None:
    csv_writer.write(tmp_path / "out", [Example("1", "", "train", {"a": 1}, text="=1+1")])
    with (tmp_path / "out" / "inputs.csv").open(newline="") as file:
        assert next(standard_csv.DictReader(file))["text"] == "'=1+1"


def pictures(folder: Path, labels: list[dict[str, int]], name: str = "{split}/{label}/{n}.png") -> list[Example]:
    made = []
    for n, given in enumerate(labels):
        id_ = name.format(n=n, split=SPLITS[n % 4], label=next(iter(given), "none"))
        made.append(Example(id_, "", SPLITS[n % 4], given, path=str(picture(folder / f"{n}.png"))))
    return made


def test_pictures_written_as_csv_are_read_again(tmp_path: Path) -> None:
    before = pictures(tmp_path / "src", [{"cat": 1}, {"dog": 1, "cat": 0}, {}, {"Not spam": 1}], "input {n}")
    first = again(csv_writer.write, before, tmp_path / "first")
    assert [(one.id, one.labels, one.split) for one in first.examples] == [
        (one.id, one.labels, one.split) for one in before
    ]
    second = again(csv_writer.write, first.examples, tmp_path / "second")
    assert without_place(second.examples) == without_place(first.examples) and second.concepts == first.concepts


def test_class_folders_that_are_written_are_read_again(tmp_path: Path) -> None:
    before = pictures(tmp_path / "src", [{"cat": 1}, {"dog": 1}, {"cat": 1}, {"dog": 1}])
    first = again(imagefolder_writer.write, before, tmp_path / "first")
    wanted = [(one.id, one.labels, one.split) for one in before]
    assert sorted((one.id, one.labels, one.split) for one in first.examples) == sorted(wanted, key=lambda row: row[0])
    second = again(imagefolder_writer.write, first.examples, tmp_path / "second")
    assert without_place(second.examples) == without_place(first.examples) and second.concepts == first.concepts


def test_writers_refuse_what_they_cannot_hold(tmp_path: Path) -> None:
    boxed = Example("a", "", "train", regions=(Region("box", "x", (0.0, 0.0, 1.0, 1.0)),), path="a.png")
    with pytest.raises(InvalidRequest, match="regions, which a CSV has no column for; write JSON lines"):
        csv_writer.write(tmp_path / "a", [boxed])
    with pytest.raises(InvalidRequest, match="one positive label"):
        imagefolder_writer.write(tmp_path / "b", [Example("a", "", "train", {"x": 1, "y": 1}, path="a.png")])
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "mine").touch()
    with pytest.raises(InvalidRequest, match="not an empty folder"):
        csv_writer.write(tmp_path / "c", [Example("a", "", "train", text="x")])


def test_names_on_disk_are_safe_and_unlike(tmp_path: Path) -> None:
    ids = ["../../etc/passwd", "A.png", "a.PNG", "a.jpg", "con:a?", "/abs/x.png", "..", "a\nb.png"]
    rows = [
        Example(id_, "", "train", {"x": 1}, path=str(picture(tmp_path / "s" / f"{n}.png"))) for n, id_ in enumerate(ids)
    ]
    result = again(csv_writer.write, rows, tmp_path / "out" / "x")
    assert [one.id for one in result.examples] == ids
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) == 9 and all(path.is_relative_to(tmp_path / "out" / "x") for path in files)


def test_bad_E8_texts_that_differ_by_their_unicode_form_are_copies(tmp_path: Path) -> None:
    """Café written with one character or two looks the same: it must not be learnt from and judged on."""
    one, two = "Caf\u00e9", "Cafe\u0301"
    rows = f"text,label,split\n{one},a,train\n{two},b,test\nother,b,test\nthird,a,train\n"
    result = readers.read(table(tmp_path, rows))
    assert [example.text for example in result.examples] == [one, "other", "third"]
    assert any("row-3" in note and "1 of them under another class" in note for note in result.notes), result.notes
    dealt = readers.read(table(tmp_path, f"text,label\n{one},a\n{two},a\n" + "x,a\ny,b\n" * 20))
    assert len({example.split for example in dealt.examples if example.text in (one, two)}) == 1
    report = check.count_examples(dealt.examples)
    assert any(set(copies.ids) == {"row-2", "row-3"} for copies in report.copies)


def test_metadata_and_places_as_the_sdk_writes_them(tmp_path: Path) -> None:
    rows = '1,Hi,a,"{\'who\': \'ann\', \'n\': 2}","8.5,47.4"\n2,Ho,b,,\n3,Hu,b,"{""it\'s"": true}",\n'
    result = readers.read(table(tmp_path, "inputid,input,concepts,metadata,geopoints\n" + rows))
    assert result.extras == {
        "1": Extra({"who": "ann", "n": 2}, (8.5, 47.4)),
        "3": Extra({"it's": True}),
    }
    details = refused(
        table(tmp_path, 'text,metadata,geopoints\na,[1],\nb,"{",\nc,,1\nd,,"1,91"\ne,,"nan,1"\n', name="bad.csv")
    )
    for said in (
        "row 2: its metadata are [1]; give a JSON object",
        "row 3: its metadata: this is not JSON",
        "row 4: its geopoints are 1; give longitude,latitude",
        "row 5: its geopoints are 1,91",
        "row 6: its geopoints are nan,1",
    ):
        assert said in details


def test_the_portals_columns(tmp_path: Path) -> None:
    header = "input.id,input.data.image.url,input.data.text.raw,input.data.concepts[0].id,input.data.concepts[0].value,"
    header += "input.data.concepts[1].id,input.data.concepts[1].value,input.data.metadata\n"
    rows = '1,https://x.example/a.png?key=s,,cat,1,dog,0,"{""a"": 1}"\n2,,some text,,,dog,,\n'
    result = readers.read(table(tmp_path, header + rows))
    one, two = result.examples
    assert (one.id, one.labels) == ("1", {"cat": 1, "dog": 0}) and "not fetched here" in one.invalid
    assert (two.id, two.text, two.labels) == ("2", "some text", {"dog": 1})
    assert result.extras == {"1": Extra({"a": 1}, url="https://x.example/a.png?key=s")}
    details = refused(table(tmp_path, header + "1,u,t,,,,,\n2,,,,,,,\n3,,t,x,2,,,\n", name="bad.csv"))
    for said in (
        "row 2: its input.data.text.raw and its input.data.image.url are both",
        "row 3: its",
        "row 4: the value of concept x is 2",
    ):
        assert said in details
