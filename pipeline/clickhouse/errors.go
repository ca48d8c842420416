package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	chgo "github.com/ClickHouse/clickhouse-go/v2"
)

// Class is what a stage does about an error.
type Class int

// The classes of errors.
const (
	// Retry: the server or the network cannot do it now. Wait and try again, without end.
	Retry Class = iota
	// Row: the server refuses a row of the insert. Find the row, dead-letter it and store the
	// others.
	Row
	// Stop: the schema, the rights or the configuration are wrong. Another try or fewer rows would
	// hide it.
	Stop
	// Unknown: try a few times, then stop.
	Unknown
)

func (c Class) String() string { return [...]string{"retry", "row", "stop", "unknown"}[c] }

// Errors that [Explain] returns. For the first three, another DSN may help.
var (
	ErrUnreachable = errors.New("ClickHouse does not answer")
	ErrCredentials = errors.New("ClickHouse refused the credentials")
	ErrRights      = errors.New("the ClickHouse user lacks a right")
	// ErrSchema is also the error of who finds that a table is not as this version needs it.
	ErrSchema = errors.New("the ClickHouse schema is not this version's: run `millrace migrate` and start again")
)

// errorClasses are the classes of the server's error codes, except ErrTooManyParts. ClickHouse
// explains the codes only by their names and its sources (src/Common/ErrorCodes.cpp).
var errorClasses = map[proto.Error]Class{
	proto.ErrUnexpectedEndOfFile:        Retry, // the connection broke in the middle of a packet
	proto.ErrTimeoutExceeded:            Retry,
	proto.ErrTooManySimultaneousQueries: Retry,
	proto.ErrNoFreeConnection:           Retry,
	proto.ErrSocketTimeout:              Retry,
	proto.ErrNetworkError:               Retry,
	proto.ErrNoZookeeper:                Retry,
	proto.ErrAborted:                    Retry, // the server is shutting down
	proto.ErrMemoryLimitExceeded:        Retry, // most often the sum of all queries
	proto.ErrTableIsReadOnly:            Retry, // a replica without its Keeper
	proto.ErrNotEnoughSpace:             Retry,
	proto.ErrAllConnectionTriesFailed:   Retry, // from a Distributed table
	proto.ErrTooFewLiveReplicas:         Retry,
	proto.ErrUnknownStatusOfInsert:      Retry, // inserting again is safe: tables keep one row of a key
	proto.ErrQueryWasCancelled:          Retry, // by an operator or a shutdown
	proto.ErrSystemError:                Retry, // of the operating system
	proto.ErrCannotScheduleTask:         Retry, // no thread is free
	proto.ErrQueryWasCancelledByClient:  Retry, // by a connection that broke: who cancels does not ask for a class
	proto.ErrServerOverloaded:           Retry,
	proto.ErrKeeperException:            Retry,

	// A value does not fit its column.
	proto.ErrCannotParseText:                  Row,
	proto.ErrCannotParseQuotedString:          Row,
	proto.ErrCannotParseInputAssertionFailed:  Row,
	proto.ErrCannotParseDate:                  Row,
	proto.ErrCannotParseDatetime:              Row,
	proto.ErrTypeMismatch:                     Row,
	proto.ErrCannotParseNumber:                Row,
	proto.ErrIncorrectData:                    Row,
	proto.ErrValueIsOutOfRangeOfDataType:      Row,
	proto.ErrCannotInsertNullInOrdinaryColumn: Row,
	proto.ErrFunctionThrowIfValueIsNonZero:    Row, // from throwIf in a materialized view
	proto.ErrViolatedConstraint:               Row,

	// The schema is another version's.
	proto.ErrNoSuchColumnInTable:        Stop,
	proto.ErrNumberOfColumnsDoesntMatch: Stop,
	proto.ErrUnknownIdentifier:          Stop,
	proto.ErrUnknownTable:               Stop,
	proto.ErrUnknownDatabase:            Stop,

	proto.ErrUnknownUser:          Stop,
	proto.ErrWrongPassword:        Stop,
	proto.ErrRequiredPassword:     Stop,
	proto.ErrIPAddressNotAllowed:  Stop,
	proto.ErrAuthenticationFailed: Stop,

	proto.ErrReadonly:             Stop,
	proto.ErrDatabaseAccessDenied: Stop,
	proto.ErrAccessDenied:         Stop,
}

// Classify returns what to do about an error of a query or an insert. An error that is not the
// server's answer is the network's: Retry.
func Classify(err error) Class {
	code, text, ok := exception(err)
	if !ok {
		if errors.Is(err, context.Canceled) || errors.Is(err, ErrSchema) {
			return Stop
		}
		return Retry
	}
	if code == proto.ErrTooManyParts { // one code for a table that merges too slowly, and for rows of too many months
		if strings.Contains(text, "partitions") {
			return Row
		}
		return Retry
	}
	if class, known := errorClasses[code]; known {
		return class
	}
	return Unknown
}

// queryErrors are codes of a query that no repetition mends: its text, its types, or a limit that it
// meets by itself.
var queryErrors = map[proto.Error]bool{
	proto.ErrTooManyArgumentsForFunction:     true,
	proto.ErrTooFewArgumentsForFunction:      true,
	proto.ErrArgumentOutOfBound:              true,
	proto.ErrNumberOfArgumentsDoesntMatch:    true,
	proto.ErrIllegalTypeOfArgument:           true,
	proto.ErrIllegalColumn:                   true,
	proto.ErrUnknownFunction:                 true,
	proto.ErrNotImplemented:                  true,
	proto.ErrIllegalTypeOfColumnForFilter:    true,
	proto.ErrSyntaxError:                     true,
	proto.ErrCannotConvertType:               true,
	proto.ErrTooLargeArraySize:               true,
	proto.ErrTooLargeStringSize:              true,
	proto.ErrTooManyRows:                     true,
	proto.ErrTooManyColumns:                  true,
	proto.ErrTooDeepSubqueries:               true,
	proto.ErrTooManyTemporaryColumns:         true,
	proto.ErrTooManyTemporaryNonConstColumns: true,
	proto.ErrTooDeepAst:                      true,
	proto.ErrTooBigAst:                       true,
	proto.ErrSetSizeLimitExceeded:            true,
	proto.ErrQueryIsTooLarge:                 true,
	proto.ErrLimitExceeded:                   true,
	proto.ErrTooDeepRecursion:                true,
	proto.ErrTooManyBytes:                    true,
	proto.ErrNoCommonType:                    true,
	proto.ErrTooManyRowsOrBytes:              true,
	proto.ErrBadQueryParameter:               true,
}

// IsOfQuery reports whether the server refuses a query that reads, or INSERT … SELECT, and would
// refuse it each time: its text or its types are wrong, or it needs more than one query may have.
func IsOfQuery(err error) bool {
	code, text, ok := exception(err)
	switch {
	case !ok:
		return false
	case code == proto.ErrMemoryLimitExceeded: // the limit of the query, and not of the server or of the user
		return strings.Contains(text, "Query memory limit") || strings.Contains(text, "(for query)")
	}
	return queryErrors[code] || Classify(err) == Row
}

// Code returns the server's error code, or 0 if the error is not the server's answer.
func Code(err error) proto.Error {
	code, _, _ := exception(err)
	return code
}

func exception(err error) (code proto.Error, text string, ok bool) {
	var native *ch.Exception
	if errors.As(err, &native) {
		return native.Code, native.Message, true
	}
	var driver *chgo.Exception
	if errors.As(err, &driver) {
		return proto.Error(driver.Code), driver.Message, true
	}
	return 0, "", false
}

// Explain wraps an error that is not retried with what to do about it: as one of the errors above,
// if it is one.
func Explain(err error) error {
	if errors.Is(err, ErrBehind) {
		return fmt.Errorf("%w: wait, or see `millrace doctor`", err)
	}
	switch code := Code(err); code {
	case proto.ErrUnknownUser, proto.ErrWrongPassword, proto.ErrRequiredPassword, proto.ErrIPAddressNotAllowed,
		proto.ErrAuthenticationFailed:
		return fmt.Errorf("%w (code %d): check the user and the password: %w", ErrCredentials, int(code), err)
	case proto.ErrReadonly, proto.ErrDatabaseAccessDenied, proto.ErrAccessDenied:
		return fmt.Errorf("%w (code %d): grant the user SELECT, INSERT and CREATE on the database, or use another: %w",
			ErrRights, int(code), err)
	case proto.ErrNoSuchColumnInTable, proto.ErrNumberOfColumnsDoesntMatch, proto.ErrUnknownIdentifier,
		proto.ErrUnknownTable, proto.ErrUnknownDatabase:
		return fmt.Errorf("%w (code %d): %w", ErrSchema, int(code), err)
	case 0:
		if errors.Is(err, ErrSchema) {
			return err
		}
		return fmt.Errorf("%w: start it (`millrace local` has one), or check host and port: %w", ErrUnreachable, err)
	default:
		return fmt.Errorf("ClickHouse error %d cannot be mended by waiting or by dropping rows: see "+
			"https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp: %w", int(code), err)
	}
}
