package grafanatest

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Scope is what the queries of a dashboard are filled in with.
type Scope struct {
	From, To time.Time
	Step     time.Duration       // between two points of a graph
	Scrape   time.Duration       // how often Prometheus scrapes
	Values   map[string][]string // chosen values of the variables; none = all
}

// conditionalAll finds the macro $__conditionalAll(condition, $variable).
const conditionalAll = "$__conditionalAll("

var quoted = regexp.MustCompile(`\$\{(\w+):singlequote\}`)

// SQL fills in the macros and variables of a query, as the plugin grafana-clickhouse-datasource does.
func (s Scope) SQL(sql string) (string, error) {
	for {
		i := strings.LastIndex(sql, conditionalAll)
		if i < 0 {
			break
		}
		args, length := arguments(sql[i+len(conditionalAll):])
		if len(args) != 2 {
			return "", fmt.Errorf("$__conditionalAll has %d arguments: %q", len(args), args)
		}
		condition := args[0]
		if len(s.Values[strings.TrimPrefix(strings.TrimSpace(args[1]), "$")]) == 0 {
			condition = "1=1"
		}
		sql = sql[:i] + condition + sql[i+len(conditionalAll)+length:]
	}
	sql = quoted.ReplaceAllStringFunc(sql, func(v string) string {
		var all []string
		for _, value := range s.Values[quoted.FindStringSubmatch(v)[1]] {
			all = append(all, "'"+strings.ReplaceAll(value, "'", `\'`)+"'")
		}
		return strings.Join(all, ",")
	})
	from, to := fmt.Sprintf("toDateTime(%d)", s.From.Unix()), fmt.Sprintf("toDateTime(%d)", s.To.Unix())
	for _, m := range []struct{ name, text string }{
		{"$__timeFilter(", "%[1]s >= " + from + " AND %[1]s <= " + to},
		{"$__timeInterval(", fmt.Sprintf("toStartOfInterval(toDateTime(%%[1]s), INTERVAL %d second)", int(s.Step.Seconds()))},
	} {
		for {
			i := strings.Index(sql, m.name)
			if i < 0 {
				break
			}
			args, length := arguments(sql[i+len(m.name):])
			if len(args) != 1 {
				return "", fmt.Errorf("%s has %d arguments: %q", m.name, len(args), args)
			}
			sql = sql[:i] + fmt.Sprintf(m.text, args[0]) + sql[i+len(m.name)+length:]
		}
	}
	sql = strings.NewReplacer("$__fromTime", from, "$__toTime", to).Replace(sql)
	if _, left, found := strings.Cut(sql, "$"); found {
		return "", fmt.Errorf("a macro or variable is left: $%s", left)
	}
	return sql, nil
}

// arguments divides the arguments of a macro at the commas outside of brackets. length is up to
// behind its closing bracket.
func arguments(text string) (args []string, length int) {
	depth, began := 1, 0
	for i, c := range text {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
		if c == ',' && depth == 1 || depth == 0 {
			args, began = append(args, text[began:i]), i+1
		}
		if depth == 0 {
			return args, i + 1
		}
	}
	return nil, 0
}

// PromQL fills in the variables of an expression, as Grafana does.
func (s Scope) PromQL(expr string) (string, error) {
	rate := max(s.Step+s.Scrape, 4*s.Scrape)
	all := s.To.Sub(s.From).Round(time.Second)
	expr = strings.NewReplacer("$__rate_interval", rate.String(), "$__range", all.String()).Replace(expr)
	for name, values := range s.Values {
		var all []string
		for _, v := range values {
			all = append(all, strings.ReplaceAll(regexp.QuoteMeta(v), `\`, `\\`))
		}
		expr = strings.ReplaceAll(expr, "$"+name, "("+strings.Join(all, "|")+")")
	}
	if left := regexp.MustCompile(`\$[a-z_]+`).FindString(expr); left != "" {
		return "", fmt.Errorf("variable %s is left in %s", left, expr)
	}
	return expr, nil
}
