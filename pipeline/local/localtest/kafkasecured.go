package localtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// scramMechanism is how users log in.
const scramMechanism = "SCRAM-SHA-512"

// security returns the settings of a broker that are about who may do what.
func (c *KafkaCluster) security() []string {
	return []string{
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL",
		"inter.broker.listener.name=PLAINTEXT",
		"sasl.enabled.mechanisms=" + scramMechanism,
		"listener.name.secured.scram-sha-512.sasl.jaas.config=" +
			"org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"listener.name.secured.ssl.keystore.type=PEM",
		"listener.name.secured.ssl.keystore.location=" + filepath.Join(c.dir, "broker.pem"),
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users=User:ANONYMOUS", // who comes without a password: the brokers, and most tests
	}
}

// makeCertificates makes an authority and a certificate of the brokers.
func (c *KafkaCluster) makeCertificates() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of tests"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	authority, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		return err
	}
	brokerKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	broker := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "broker of tests"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	certificate, err := x509.CreateCertificate(rand.Reader, broker, ca, &brokerKey.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(brokerKey)
	if err != nil {
		return err
	}
	store := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})...)
	if err := os.WriteFile(filepath.Join(c.dir, "broker.pem"), store, 0o600); err != nil {
		return err
	}
	return os.WriteFile(c.Authority(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority}), 0o600)
}

// Authority returns the path of the certificate that clients of Secured have to trust.
func (c *KafkaCluster) Authority() string { return filepath.Join(c.dir, "authority.pem") }

// Secured returns the host:port of each broker for users with a password, over TLS.
func (c *KafkaCluster) Secured() []string { return c.secured[:] }

// AddUser makes a user, who may do nothing yet, and waits until all brokers know the user. The password
// is for SCRAM-SHA-512.
func (c *KafkaCluster) AddUser(t testing.TB, user string) (password string) {
	t.Helper()
	password = rand.Text()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, addr := range c.addrs {
		client, err := kgo.NewClient(kgo.SeedBrokers(addr))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		admin := kadm.NewClient(client)
		if i == 0 {
			results, err := admin.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: user, Mechanism: kadm.ScramSha512,
				Iterations: 4096, Password: password}})
			if err == nil {
				err = results.Error()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			described, err := admin.DescribeUserSCRAMs(ctx, user)
			if err == nil && described.Ok() {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatal(fmt.Errorf("broker %d does not know user %s: %w", i, user, err))
			}
		}
	}
	return password
}
