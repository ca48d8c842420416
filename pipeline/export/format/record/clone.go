package record

import "slices"

// Clone returns a copy of a node run that shares no memory with it, and the size of the copy in
// bytes.
func (n *Node) Clone() (copied Node, size int) {
	copied = *n
	c := cloner{}
	c.node(&copied) // first pass
	c.arena = make([]byte, 0, c.size)
	c.node(&copied)
	return copied, c.size
}

// Clone returns a copy of a feedback that shares no memory with it, and the size of the copy in
// bytes.
func (f *Feedback) Clone() (copied Feedback, size int) {
	copied = *f
	c := cloner{}
	c.feedback(&copied) // first pass
	c.arena = make([]byte, 0, c.size)
	c.feedback(&copied)
	return copied, c.size
}

// cloner adds up the sizes of texts in a first pass, and copies all texts into one allocation in a
// second.
type cloner struct {
	size  int
	arena []byte // nil in the first pass
}

func (c *cloner) texts(texts ...*[]byte) {
	for _, text := range texts {
		if c.arena == nil {
			c.size += len(*text)
			continue
		}
		start := len(c.arena)
		c.arena = append(c.arena, *text...)
		*text = c.arena[start:len(c.arena):len(c.arena)]
	}
}

func (c *cloner) pairs(pairs *[]Pair) {
	if c.arena == nil {
		*pairs = slices.Clone(*pairs)
	}
	for i := range *pairs {
		c.texts(&(*pairs)[i].Key, &(*pairs)[i].Value)
	}
}

func (c *cloner) node(n *Node) {
	c.texts(&n.NodeRunID, &n.NodeID, &n.NodeName, &n.NodeType, &n.ParentNodeRunID, &n.PromptTemplate, &n.PromptVariables,
		&n.AppVersion, &n.Status, &n.Inputs, &n.Outputs, &n.Messages, &n.Tools, &n.Model, &n.ErrorType, &n.ErrorMessage,
		&n.InputGroup)
	c.pairs(&n.Parameters)
	c.pairs(&n.Metadata)
	if c.arena == nil {
		n.Chunks, n.Files = slices.Clone(n.Chunks), slices.Clone(n.Files)
	}
	for i := range n.Chunks {
		k := &n.Chunks[i]
		c.texts(&k.ChunkID, &k.Text, &k.SourceURI, &k.Title)
	}
	for i := range n.Files {
		f := &n.Files[i]
		c.texts(&f.FileID, &f.Name, &f.URI, &f.ContentType, &f.Direction)
	}
}

func (c *cloner) feedback(f *Feedback) {
	c.texts(&f.Rating, &f.Comment, &f.CorrectedAnswer)
	c.list(&f.Tags)
	if c.arena == nil {
		f.Scores, f.Judgements = slices.Clone(f.Scores), slices.Clone(f.Judgements)
	}
	for i := range f.Scores {
		c.texts(&f.Scores[i].Name, &f.Scores[i].Label)
	}
	for i := range f.Judgements {
		j := &f.Judgements[i]
		c.texts(&j.FeedbackID, &j.Name, &j.Kind, &j.Rating, &j.Comment, &j.CorrectedAnswer, &j.CreatedBy)
		c.list(&j.Tags)
	}
}

func (c *cloner) list(texts *[][]byte) {
	if c.arena == nil {
		*texts = slices.Clone(*texts)
	}
	for i := range *texts {
		c.texts(&(*texts)[i])
	}
}
