"""Videos with the models that search them: their indexes, answers about them, watching and blurring."""
