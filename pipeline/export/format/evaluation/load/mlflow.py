import json
from mlflow.genai.datasets import create_dataset
create_dataset(name='millrace').merge_records([json.loads(line) for line in open('{file}', encoding='utf-8')])
