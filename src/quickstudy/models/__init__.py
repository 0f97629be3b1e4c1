"""Models as users hold them: meta-trained, adapted, saved, exported, and as estimators."""
