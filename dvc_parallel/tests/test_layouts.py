"""Which stages are meant, in projects with several folders."""

from pathlib import Path

from dvc_parallel.tests.conftest import parallel
from dvc_parallel.tests.layouts import layouts

LAYOUTS = layouts(pause=0)


def test_an_upstream_pipeline_in_another_dvc_yaml_is_not_missed(tmp_path: Path) -> None:
    folder = LAYOUTS["several dvc.yaml"].write(tmp_path)
    assert parallel(folder).returncode == 0
    (folder / "one/seed").write_text("other\n")
    ended = parallel(folder)
    assert ended.returncode == 0
    assert "other" in (folder / "both").read_text()
    assert "nothing to do" in parallel(folder).stdout


def test_below_a_monorepos_root_the_stages_of_the_folder_are_meant(tmp_path: Path) -> None:
    folder = LAYOUTS[".dvc above"].write(tmp_path)
    assert "6 of 6 stages done" in parallel(folder).stdout
    assert parallel(folder).stdout == "nothing to do: 6 of 6 stages are up to date\n"
    (folder / "a").unlink()
    assert "2 of 2 stages done" in parallel(folder).stdout
    ended = parallel(tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
    assert "dvc.yaml' does not exist" in ended.stderr


def test_no_stage_at_all_is_an_error(tmp_path: Path) -> None:
    folder = LAYOUTS["foreach"]._replace(files={"dvc.yaml": "stages: {}\n"}).write(tmp_path)
    ended = parallel(folder)
    assert ended.returncode == 1
    assert ended.stderr == f"error: there is no stage in {folder}\n"
