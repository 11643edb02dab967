"""The child process that decodes: `python -m videothinker.video`, started by `reading`."""

from videothinker.video.serving import serve

if __name__ == "__main__":
    serve()
