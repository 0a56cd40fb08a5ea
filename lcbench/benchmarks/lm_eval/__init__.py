"""Tasks of the installed lm-eval (EleutherAI/lm-evaluation-harness): its prompts, stops and metrics, our engine.

find: NAME -> its YAML file. data: the rows of its data set. loading: both -> a task at work. cell: samples. verdict:
completions -> scores. `lm_eval` is imported inside functions only: it is an extra.
"""
