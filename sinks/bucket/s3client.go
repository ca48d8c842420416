package bucket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// dialTimeout bounds the time to connect.
const dialTimeout = 10 * time.Second

// newHTTPClient returns the SDK's client, changed so that a connection fails if it carries no byte
// for a while. The client of the SDK waits for ever. A request still has as much time as its size
// needs on a slow line, but a server that hangs does not stop it.
func newHTTPClient(client aws.HTTPClient, silence time.Duration) aws.HTTPClient {
	buildable, ok := client.(*awshttp.BuildableClient) // it may have read AWS_CA_BUNDLE
	if !ok {
		buildable = awshttp.NewBuildableClient()
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	// Frozen, since the modes of the SDK would replace the dialer.
	return buildable.WithTransportOptions(func(t *http.Transport) {
		t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &silenceConn{c, silence}, nil
		}
		t.MaxIdleConnsPerHost = 2 * syncsAtOnce
		t.IdleConnTimeout = silence * 2 / 3 // before the connection fails
	}).Freeze()
}

// silenceConn is a connection on which reads and writes fail if neither made progress for a while.
// A read extends the deadline of writes and the other way round: a client that sends for a minute
// reads nothing in that time. (The SDK's read timeout, which it does not use for S3, would end such
// an upload.)
type silenceConn struct {
	net.Conn
	silence time.Duration
}

func (c *silenceConn) Read(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.silence)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *silenceConn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.silence)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// httpStatus returns the HTTP status of an error, or 0 if there was no answer.
func httpStatus(err error) int {
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}

// apiCode returns the S3 code of an error, or "".
func apiCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// isConflict reports whether an error may mean that the key has an object: the condition failed, or
// other requests for the key came first at every attempt, or the upload was completed before.
func isConflict(err error) bool {
	switch httpStatus(err) {
	case http.StatusPreconditionFailed, http.StatusConflict:
		return true
	}
	return apiCode(err) == "NoSuchUpload"
}

// explain returns ErrNotFound if an object is missing. For mistakes of the configuration, which the
// first request shows, it adds what to change.
func (s *s3Store) explain(err error) error {
	status, code := httpStatus(err), apiCode(err)
	hint := ""
	var unsent *smithyhttp.RequestSendError
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case code == "NoSuchBucket":
		hint = fmt.Sprintf("%s has no bucket %q: create it, or correct its name in the URL", s.where(), s.cfg.bucket)
	case status == http.StatusNotFound && (code == "NoSuchKey" || code == "NotFound"):
		return ErrNotFound
	case code == "InvalidAccessKeyId", code == "SignatureDoesNotMatch", code == "InvalidToken", code == "ExpiredToken",
		code == "XAdminUserNotFound" /* versitygw */, status == http.StatusUnauthorized:
		hint = s.where() + " refuses the credentials: correct AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and " +
			"AWS_SESSION_TOKEN, " +
			"or profile= or role= in the URL"
	case status == http.StatusForbidden:
		hint = fmt.Sprintf("the credentials do not allow this: grant s3:GetObject, s3:PutObject, s3:DeleteObject, "+
			"s3:AbortMultipartUpload and s3:ListBucket on bucket %q", s.cfg.bucket)
	case status == http.StatusMovedPermanently, status == http.StatusTemporaryRedirect,
		code == "AuthorizationHeaderMalformed":
		hint = fmt.Sprintf("bucket %q is not in region %s: correct region= in the URL", s.cfg.bucket, s.region)
	case status == http.StatusNotImplemented:
		hint = s.where() + " does not have conditional writes (If-None-Match): use a store that has them"
	case errors.As(err, &unsent):
		hint = "cannot reach " + s.where() + ": correct endpoint= in the URL, or the network"
	default:
		return err
	}
	return fmt.Errorf("%s: %w", hint, err)
}

func (s *s3Store) where() string {
	if s.cfg.endpoint != "" {
		return s.cfg.endpoint
	}
	return "S3 in region " + s.region
}
