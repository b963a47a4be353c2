"""The work on a clip, without a window: what it holds, how it changes, how it is kept."""
