package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ClickHouse/ch-go"
	chgo "github.com/ClickHouse/clickhouse-go/v2"
)

// Class says what a stage does about an error.
type Class int

// The classes of errors.
const (
	// Retry: the server or the network is not able right now; wait and try again, for ever.
	Retry Class = iota
	// Row: a row of the insert is refused; find it, dead-letter it, store the others.
	Row
	// Stop: schema, rights or configuration are wrong; trying again or dropping rows would only hide it.
	Stop
	// Unknown: try a few times, then stop.
	Unknown
)

func (c Class) String() string { return [...]string{"retry", "row", "stop", "unknown"}[c] }

// classes maps the error codes of ClickHouse (src/Common/ErrorCodes.cpp) to what to do about them.
var classes = map[int]Class{
	3: Retry, 159: Retry, 202: Retry, 203: Retry, 209: Retry, 210: Retry, 236: Retry, 241: Retry, 242: Retry, 243: Retry,
	285: Retry, 319: Retry, 425: Retry, 735: Retry, 999: Retry,
	225: Retry, // NO_ZOOKEEPER
	279: Retry, // ALL_CONNECTION_TRIES_FAILED, from a Distributed table
	394: Retry, // QUERY_WAS_CANCELLED, by an operator or a shutdown
	439: Retry, // CANNOT_SCHEDULE_TASK: no thread is free
	745: Retry, // SERVER_OVERLOADED
	6:   Row, 26: Row, 27: Row, 38: Row, 41: Row, 53: Row, 72: Row, 117: Row, 321: Row, 349: Row,
	395: Row, // FUNCTION_THROW_IF_VALUE_IS_NON_ZERO, from a materialized view's throwIf
	469: Row, // VIOLATED_CONSTRAINT
	16:  Stop, 20: Stop, 47: Stop, 60: Stop, 81: Stop, 164: Stop, 192: Stop, 193: Stop, 194: Stop, 195: Stop,
	291: Stop, 497: Stop, 516: Stop,
}

// ErrSchema is found where the tables are not those of this version.
var ErrSchema = errors.New("the ClickHouse schema is not this version's: run `millrace migrate` and start again")

// Classify returns what to do about an error of a query or an insert. What is not an answer of the
// server is a fault of the network: Retry.
func Classify(err error) Class {
	code, text, ok := exception(err)
	if !ok {
		if errors.Is(err, context.Canceled) || errors.Is(err, ErrSchema) {
			return Stop
		}
		return Retry
	}
	if code == 252 { // TOO_MANY_PARTS means two things
		if strings.Contains(text, "partitions") {
			return Row
		}
		return Retry
	}
	if class, known := classes[code]; known {
		return class
	}
	return Unknown
}

// Code returns the server's error code, 0 if the error is not an answer of the server.
func Code(err error) int {
	code, _, _ := exception(err)
	return code
}

func exception(err error) (code int, text string, ok bool) {
	var native *ch.Exception
	if errors.As(err, &native) {
		return int(native.Code), native.Message, true
	}
	var driver *chgo.Exception
	if errors.As(err, &driver) {
		return int(driver.Code), driver.Message, true
	}
	return 0, "", false
}

// Explain wraps an error that is not retried with what to do about it.
func Explain(err error) error {
	switch code := Code(err); code {
	case 192, 193, 194, 195, 516:
		return fmt.Errorf("ClickHouse refused the credentials (code %d): check user and password in MILLRACE_CLICKHOUSE_DSN: %w", code, err)
	case 164, 291, 497:
		return fmt.Errorf("the ClickHouse user may not do this (code %d): grant it SELECT, INSERT and CREATE on the database, or change the user in MILLRACE_CLICKHOUSE_DSN: %w", code, err)
	case 16, 20, 47, 60, 81:
		return fmt.Errorf("%w (code %d): %w", ErrSchema, code, err)
	case 0:
		return fmt.Errorf("ClickHouse does not answer: start it (`millrace local` has one), or check host and port in MILLRACE_CLICKHOUSE_DSN: %w", err)
	default:
		return fmt.Errorf("ClickHouse error %d is not one that waiting or dropping rows can mend: see https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp: %w", code, err)
	}
}
