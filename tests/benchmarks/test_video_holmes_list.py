"""Video-Holmes in the list of VideoThinker's authors."""

from videothinker.benchmarks import video_holmes_list


def test_the_list_is_the_whole(shared):
    found = video_holmes_list.load(shared / "video-holmes" / "questions.json")
    assert found.wrong_counts() == []
    assert found.name == "video-holmes"
