package format

import (
	"github.com/millrace/millrace/sinks/fragment"
	"github.com/millrace/millrace/sinks/fragment/jsontext"
)

// nodesName is the column that option with_nodes of export_dataset adds.
const nodesName = "nodes"

// newNodesColumn returns the column of a run's node runs: a list of structs, which have every field of a node event but
// those of the run around it, and latency_ms. Prompt is null where the node has neither template nor variables.
func newNodesColumn() datasetColumn {
	fields := nodeFields()
	node := fragment.Column{Type: fragment.Struct, Required: true}
	for i := range fields {
		f := &fields[i]
		node.Fields = append(node.Fields, f.Column)
		separator := byte(',')
		if i == 0 {
			separator = '{'
		}
		f.key = append(jsontext.AppendString([]byte{separator}, []byte(f.Name)), ':')
	}
	value := func(_ *datasetCanonical, dst []byte, row *Row) []byte {
		dst = append(dst, '[')
		for i := range row.Nodes {
			if i > 0 {
				dst = append(dst, ',')
			}
			for j := range fields {
				dst = append(dst, fields[j].key...)
				dst = fields[j].value(dst, &row.Nodes[i])
			}
			dst = append(dst, '}')
		}
		return append(dst, ']')
	}
	return datasetColumn{Column: fragment.Column{Name: nodesName, Type: fragment.List, Required: true, Element: &node}, value: value}
}

// nodeField is a field of a node run and what appends its value.
type nodeField struct {
	fragment.Column
	key   []byte // with what is before it: `,"node_id":`
	value func(dst []byte, n *Node) []byte
}

// nodeFields are the fields of a node run, in the order of the contract.
func nodeFields() []nodeField {
	type column = fragment.Column
	var fields []nodeField
	add := func(c column, value func(dst []byte, n *Node) []byte) {
		fields = append(fields, nodeField{Column: c, value: value})
	}
	text := func(c column, of func(n *Node) []byte) {
		add(c, func(dst []byte, n *Node) []byte { return appendText(dst, of(n)) })
	}
	document := func(name string, of func(n *Node) []byte) {
		add(column{Name: name, Type: fragment.Document}, func(dst []byte, n *Node) []byte { return appendDoc(dst, of(n)) })
	}

	text(column{Name: "node_run_id", Required: true}, func(n *Node) []byte { return n.NodeRunID })
	text(column{Name: "node_id", Required: true, Dictionary: true}, func(n *Node) []byte { return n.NodeID })
	text(column{Name: "node_name", Dictionary: true}, func(n *Node) []byte { return n.NodeName })
	text(column{Name: "node_type", Dictionary: true}, func(n *Node) []byte { return n.NodeType })
	text(column{Name: "parent_node_run_id"}, func(n *Node) []byte { return n.ParentNodeRunID })
	add(column{Name: "sequence", Type: fragment.Integer}, func(dst []byte, n *Node) []byte { return appendInt(dst, n.Sequence) })
	text(column{Name: "app_version", Dictionary: true}, func(n *Node) []byte { return n.AppVersion })
	text(column{Name: "status", Required: true, Dictionary: true}, func(n *Node) []byte { return n.Status })
	add(column{Name: "started_at", Type: fragment.Time, Required: true}, func(dst []byte, n *Node) []byte {
		return jsontext.AppendTime(dst, n.StartedAt)
	})
	add(column{Name: "ended_at", Type: fragment.Time}, func(dst []byte, n *Node) []byte { return appendMoment(dst, n.EndedAt) })
	add(column{Name: "updated_at", Type: fragment.Time, Required: true}, func(dst []byte, n *Node) []byte {
		return jsontext.AppendTime(dst, n.UpdatedAt)
	})
	add(column{Name: "latency_ms", Type: fragment.Integer}, func(dst []byte, n *Node) []byte { return appendInt(dst, n.Latency()) })
	document("inputs", func(n *Node) []byte { return n.Inputs })
	document("outputs", func(n *Node) []byte { return n.Outputs })
	add(promptColumn(), appendPromptParts)
	document("messages", func(n *Node) []byte { return n.Messages })
	document("tools", func(n *Node) []byte { return n.Tools })
	text(column{Name: "model", Dictionary: true}, func(n *Node) []byte { return n.Model })
	add(parametersColumn(), func(dst []byte, n *Node) []byte { return appendParameters(dst, n.Parameters) })
	add(passagesColumn(), func(dst []byte, n *Node) []byte { return appendPassages(dst, n.Chunks) })
	add(errorColumn(), func(dst []byte, n *Node) []byte { return appendError(dst, &n.Execution) })
	add(filesColumn(), func(dst []byte, n *Node) []byte { return appendFiles(dst, n.Files) })
	add(usageColumn(), func(dst []byte, n *Node) []byte { return appendUsage(dst, &n.Execution) })
	add(column{Name: "cost_usd", Type: fragment.Float}, func(dst []byte, n *Node) []byte { return appendFloat(dst, n.CostUSD) })
	add(column{Name: "metadata", Type: fragment.Document, Required: true}, func(dst []byte, n *Node) []byte {
		return appendPairs(dst, n.Metadata)
	})
	return fields
}

func promptColumn() fragment.Column {
	return fragment.Column{Name: "prompt", Type: fragment.Struct, Fields: []fragment.Column{
		{Name: "template", Dictionary: true, Long: true},
		{Name: "variables", Type: fragment.Document},
	}}
}

func appendPromptParts(dst []byte, n *Node) []byte {
	if len(n.PromptTemplate) == 0 && len(n.PromptVariables) == 0 {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"template":`...)
	dst = appendText(dst, n.PromptTemplate)
	dst = append(dst, `,"variables":`...)
	dst = appendDoc(dst, n.PromptVariables)
	return append(dst, '}')
}
