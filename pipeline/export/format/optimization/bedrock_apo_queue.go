package optimization

import (
	"bytes"

	"github.com/millrace/millrace/pipeline/export/format"
)

// apoSample is an element of evaluationSamples.
type apoSample struct {
	number int // position among the rows
	text   []byte
	inputs int // length of the variables in the text
	source format.Source
}

// apoQueue has samples from old to new.
type apoQueue struct {
	ring  [apoSamples + 1]apoSample // one more than a record has
	begin int
	count int
}

// at returns the i-th oldest sample.
func (q *apoQueue) at(i int) *apoSample { return &q.ring[(q.begin+i)%len(q.ring)] }

func (q *apoQueue) push(s apoSample) {
	q.count++
	*q.at(q.count - 1) = s
}

// find returns the place of the sample whose text begins with these inputs, or -1.
func (q *apoQueue) find(inputs []byte) int {
	for i := range q.count {
		if s := q.at(i); s.inputs == len(inputs) && bytes.Equal(s.text[:s.inputs], inputs) {
			return i
		}
	}
	return -1
}

// remove removes the i-th oldest sample.
func (q *apoQueue) remove(i int) apoSample {
	s := *q.at(i)
	for ; i > 0; i-- {
		*q.at(i) = *q.at(i - 1)
	}
	*q.at(0) = apoSample{}
	q.begin = (q.begin + 1) % len(q.ring)
	q.count--
	return s
}
