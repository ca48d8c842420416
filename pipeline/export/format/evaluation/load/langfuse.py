import json
from langfuse import Langfuse
l = Langfuse()
items = [json.loads(line) for line in open('{file}', encoding='utf-8')]
[l.create_dataset(name=n) for n in sorted(set(i['datasetName'] for i in items))]
[l.create_dataset_item(dataset_name=i['datasetName'], id=i['id'], input=i['input'], expected_output=i.get('expectedOutput'), metadata=i['metadata'], source_trace_id=i.get('sourceTraceId')) for i in items]
