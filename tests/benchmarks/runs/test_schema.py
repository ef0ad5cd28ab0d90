from benchmarks.runs import schema


def test_the_file_is_what_the_models_state():
    expected = schema.text()
    again = 'python -c "from benchmarks.runs import schema; schema.write()"'
    assert schema.path().read_text(encoding="utf-8") == expected, f"write it anew: {again}"
