package chatlog_test

import (
	"fmt"
	"testing"
)

func TestKeysThatARunHasNoPlaceForAreCounted(t *testing.T) {
	t.Parallel()
	c := converter()
	for i := range 150 {
		line := fmt.Sprintf(`{"messages":[{"role":"user","content":"q"}],"parallel_tool_calls":false,"functions":null,"k%d":1}`, i)
		if _, err := c.Convert([]byte(line), i+1); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.Ignored["parallel_tool_calls"]; n != 150 || c.Ignored["functions"] != 0 || len(c.Ignored) != 100 {
		t.Errorf("parallel_tool_calls in %d lines, %d keys", n, len(c.Ignored))
	}
}
