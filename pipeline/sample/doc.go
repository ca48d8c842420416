// Package sample generates plausible runs of copilots and recipes: for the demo, for tests and for
// benchmarks.
//
// Everything about a run is a pure function of (Config, index of the run): its app, version, input,
// nodes, texts, verdicts and the events that tell about it. So the generator keeps no history. It
// walks through steps; step s opens run s and, for each lag of a fixed list, emits what run s−lag
// has put off until then:
//
//	step s ──▶ lag 997: late final, changed or second feedback   of run s−997
//	           lag 211: late node, stale snapshot, revision,
//	                    feedback on a node                       of run s−211
//	           lag  23: feedback of the user                     of run s−23
//	           lag   5: repeats, `running` after the final,
//	                    the verdict of the evaluator             of run s−5
//	           lag 3…1: nodes and the final snapshot             of runs s−3 … s−1
//	           lag   0: `running` snapshot, or all at once       of run s
//
// Memory is therefore that of one run, however many there are, and the same Config gives the same
// bytes forever: the numbers come from math/rand/v2's PCG by our own arithmetic, and no map is
// iterated. A changed text or draw changes the golden hash in sample_test.go, which is then to be
// changed on purpose.
//
// Inputs come back: a block of 250 runs of a workspace draws them from small pools, one an app, so
// that the same question meets several versions, good and bad; one run in twenty replays an input
// of a regression set, with a reference and a score by an evaluator. Newer versions answer better
// on average.
//
// Files:
//
//	generator.go   Config, Event, Generator: the walk
//	plan.go        what happens in run i, without its texts
//	parts.go       which events tell about it, and when
//	input.go       what is asked: the parameters of an input, and their names in texts
//	app.go         what an app, a version, a node, a topic are; the list of apps
//	render.go      the texts of a run: question, answer, context, long texts
//	run.go node.go feedback.go   the three documents
//	chat.go        messages in OpenAI's shape
//	airline.go hr.go invoice.go knowledge.go   the four apps
//	texts.go       odd and multilingual texts that all apps share
//	plain.go       Config.Plain
//	expect.go      Totals
//	json.go dice.go   writing JSON, drawing numbers
package sample
