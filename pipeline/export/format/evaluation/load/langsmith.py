import json
from langsmith import Client
c = Client()
d = c.create_dataset('millrace')
c.create_examples(dataset_id=d.id, examples=[json.loads(line) for line in open('{file}', encoding='utf-8')])
