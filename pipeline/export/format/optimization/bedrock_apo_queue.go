package optimization

import (
	"bytes"

	"github.com/millrace/millrace/pipeline/export/format"
)

// apoSample is an element of evaluationSamples.
type apoSample struct {
	number int // in the order of the rows
	text   []byte
	inputs int // length of what its variables are in the text
	source format.Source
}

// apoQueue has samples from old to new.
type apoQueue struct {
	ring  [apoSamples + 1]apoSample // one more than there are in the end
	begin int
	count int
}

// at returns the i-th oldest.
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

// remove takes the i-th oldest out.
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
