from deepeval.dataset import EvaluationDataset
d = EvaluationDataset()
d.add_goldens_from_jsonl_file('{file}')
print(len(d.goldens))
