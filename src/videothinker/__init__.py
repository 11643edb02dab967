"""VideoThinker: find the perceptual shortcuts in video QA and train a video LLM without them."""

__version__ = "0.1.0"
