package enrol

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gateagent/central/ca"
	"gateagent/gate/wire"
)

// BrokerFiles makes what a broker of the operator's own needs, by file name:
// CA, server certificate and key, revocation list, and access rules in
// mosquitto's form, under which a kiosk has its own topics alone.
func (r *Registry) BrokerFiles(ctx context.Context, names []string, now time.Time) (map[string][]byte, error) {
	server, err := r.CA.Server(names, now, ca.BrokerLife)
	if err != nil {
		return nil, err
	}
	cert, key, err := ca.EncodePair(server)
	if err != nil {
		return nil, err
	}
	revoked, err := r.RevocationList(ctx, now)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{"ca.pem": r.CA.RootPEM(), "server.pem": cert, "server.key": key,
		"revoked.pem": revoked, "acl": accessRules()}, nil
}

// RevokeBroker puts the certificate of a broker of the operator's own on the
// list of revoked ones, when somebody else may have its key.
func (r *Registry) RevokeBroker(ctx context.Context, certificate []byte) error {
	block, _ := pem.Decode(certificate)
	if block == nil {
		return errors.New("no PEM certificate: give the broker's server.pem")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err == nil {
		err = c.CheckSignatureFrom(r.CA.Root())
	}
	if err == nil && ca.IsKiosk(c) {
		err = errors.New("it is a kiosk's: take `gatectl kiosk revoke`")
	}
	if err != nil {
		return fmt.Errorf("the broker's certificate: %w", err)
	}
	before, err := r.Store.Setting(ctx, settingRevoked)
	if err != nil || slices.Contains(strings.Fields(before), Serial(c)) {
		return err
	}
	return r.Store.SetSetting(ctx, settingRevoked, strings.TrimSpace(before+" "+Serial(c)))
}

// accessRules: %u is the name in the client's certificate.
func accessRules() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "user %s\n", wire.CentralName)
	for _, up := range wire.Upward() {
		fmt.Fprintf(&b, "topic read %s\n", wire.Topic("+", up))
	}
	for _, down := range wire.Downward() {
		fmt.Fprintf(&b, "topic write %s\n", wire.Topic("+", down))
	}
	fmt.Fprintf(&b, "topic write %s\n", wire.TopicTimestamp)
	b.WriteString("\n")
	for _, up := range wire.Upward() {
		fmt.Fprintf(&b, "pattern write %s\n", wire.Topic("%u", up))
	}
	for _, down := range wire.Downward() {
		fmt.Fprintf(&b, "pattern read %s\n", wire.Topic("%u", down))
	}
	fmt.Fprintf(&b, "pattern read %s\n", wire.TopicTimestamp)
	return []byte(b.String())
}
