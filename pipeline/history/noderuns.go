package history

import (
	"context"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/millrace/millrace/pipeline/columns"
)

// maxNodeRuns is how many node runs a detail has at most, and maxDocuments the bytes of documents
// of node runs, as far as those of the run leave room.
const (
	maxNodeRuns  = 1000
	maxDocuments = 16 << 20
)

// nodeRuns are the first node runs of a run, without their documents.
type nodeRuns struct {
	list    []NodeRun
	sizes   []int64 // of their documents, in bytes
	omitted int64
}

// nodeOrder is the order of node runs in their run.
const nodeOrder = "ORDER BY sequence ASC NULLS LAST, started_at, node_run_id"

// nodeRuns reads the node runs without their documents, and measures those: the documents of many
// node runs may be too large for an answer, or for memory.
func (r *reading) nodeRuns(ctx context.Context) (*nodeRuns, error) {
	nodes := &nodeRuns{list: []NodeRun{}}
	sql := "SELECT " + selectList(columns.Nodes, new(NodeRun).targets(&Error{}, &Usage{})) + `,
    toInt64(length(error_message) + length(prompt_template) + length(prompt_variables) + length(inputs) +
    length(outputs) + length(messages)
        + if(empty(chunks), 0, byteSize(chunks)) + if(empty(parameters), 0, byteSize(parameters))),
    toInt64(count() OVER ())
FROM ` + latest("nodes", ofRun) + "\n" + nodeOrder + " LIMIT " + strconv.Itoa(maxNodeRuns)
	err := r.each(ctx, sql, func(rows driver.Rows) error {
		var n NodeRun
		var e Error
		var u Usage
		var size, count int64
		err := rows.Scan(append(n.targets(&e, &u).places(), &size, &count)...)
		n.Error, n.Usage = orNil(&e), orNil(&u)
		nodes.list, nodes.sizes = append(nodes.list, n), append(nodes.sizes, size)
		nodes.omitted = count - int64(len(nodes.list))
		return err
	})
	return nodes, err
}

// targets are the columns of a node run without its documents.
func (n *NodeRun) targets(e *Error, u *Usage) targets {
	return targets{
		{"node_run_id", &n.NodeRunID}, {"node_id", &n.NodeID}, {"node_name", &n.NodeName}, {"node_type", &n.NodeType},
		{"parent_node_run_id", &n.ParentNodeRunID}, {"sequence", &n.Sequence}, {"status", &n.Status},
		{"started_at", &n.StartedAt}, {"ended_at", &n.EndedAt}, {"model", &n.Model}, {"error_type", &e.Type},
		{"usage_input_tokens", &u.InputTokens}, {"usage_output_tokens", &u.OutputTokens}, {"cost_usd", &n.CostUSD},
	}
}

// documentTargets are the columns of a node run's key and documents, without its chunks.
func (n *NodeRun) documentTargets(k *nodeKey, e *Error, docs documents) targets {
	return targets{
		{"node_id", &k.node}, {"node_run_id", &k.nodeRun}, {"started_at", &k.started}, {"error_message", &e.Message},
		{"prompt_template", &n.PromptTemplate}, {"prompt_variables", &docs[0]}, {"inputs", &docs[1]},
		{"outputs", &docs[2]}, {"messages", &docs[3]}, {"parameters", &n.Parameters},
	}
}

// nodeKey identifies a node run of a run, even where a producer broke the contract.
type nodeKey struct {
	node, nodeRun string
	started       time.Time
}

// documents reads the documents of the first node runs: those that fit beside the documents of the
// run.
func (r *reading) documents(ctx context.Context, d *Detail, sizes []int64) error {
	room, fit := maxDocuments-d.size(), 0
	for fit < len(sizes) && room >= sizes[fit] {
		room -= sizes[fit]
		fit++
	}
	places, ids := make(map[nodeKey]*NodeRun, fit), make([]string, 0, fit)
	for i := range d.Nodes {
		n := &d.Nodes[i]
		switch {
		case i >= fit && sizes[i] > 0:
			n.DocumentsOmitted, d.DocumentsOmitted = true, true
		case i < fit:
			places[nodeKey{n.NodeID, n.NodeRunID, n.StartedAt}] = n
			ids = append(ids, n.NodeRunID)
		}
	}
	if fit == 0 {
		return nil
	}
	sql := "SELECT " + selectList(columns.Nodes, new(NodeRun).documentTargets(&nodeKey{}, &Error{}, make(documents, 4))) +
		", " +
		elements("chunks", columns.Chunks, new(chunks).targets(), "%s") + `
FROM ` + latest("nodes", ofRun+" AND node_run_id IN "+r.Texts("node_runs", ids))
	return r.each(ctx, sql, func(rows driver.Rows) error {
		var k nodeKey
		var n NodeRun
		var c chunks
		var e Error
		documents := make(documents, 4)
		to := append(n.documentTargets(&k, &e, documents).places(), c.targets().places()...)
		if err := rows.Scan(to...); err != nil {
			return err
		}
		if node := places[k]; node != nil { // otherwise another node run has the same id
			node.PromptTemplate, node.Parameters, node.Chunks = n.PromptTemplate, n.Parameters, c.list()
			if node.Error != nil {
				e.Type = node.Error.Type
			}
			node.Error = orNil(&e)
			node.PromptVariables, node.Inputs = documents.json(0), documents.json(1)
			node.Outputs, node.Messages = documents.json(2), documents.json(3)
		}
		return nil
	})
}

// chunks are the columns of an array of chunks.
type chunks struct {
	ids, texts    []string
	scores        []*float64
	uris, titles  []string
	sent, usedIns []*bool
}

func (c *chunks) targets() targets {
	return targets{
		{"chunk_id", &c.ids}, {"text", &c.texts}, {"score", &c.scores}, {"source_uri", &c.uris}, {"title", &c.titles},
		{"sent_to_llm", &c.sent}, {"used_in_answer", &c.usedIns},
	}
}

func (c *chunks) list() []Chunk {
	list := make([]Chunk, len(c.ids))
	for i := range list {
		list[i] = Chunk{c.ids[i], c.texts[i], c.scores[i], c.uris[i], c.titles[i], c.sent[i], c.usedIns[i]}
	}
	return list
}
