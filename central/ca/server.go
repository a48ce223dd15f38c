package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"gateagent/gate/wire"
)

// Server issues a server certificate for the given DNS names and addresses
// with a fresh key.
func (a *Authority) Server(names []string, now time.Time, life time.Duration) (tls.Certificate, error) {
	if len(names) == 0 {
		return tls.Certificate{}, errors.New("a server certificate needs at least one name or address")
	}
	tmpl := &x509.Certificate{
		Subject:  pkix.Name{CommonName: names[0], OrganizationalUnit: []string{unitCentral}},
		NotAfter: now.Add(life), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, n)
		}
	}
	return a.withKey(tmpl, now)
}

// Central issues central's own client certificate, with which it reads every
// kiosk's topics at the broker.
func (a *Authority) Central(now time.Time) (tls.Certificate, error) {
	return a.withKey(&x509.Certificate{
		Subject:  pkix.Name{CommonName: wire.CentralName, OrganizationalUnit: []string{unitCentral}},
		NotAfter: now.Add(serverLife), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, now)
}

func (a *Authority) withKey(tmpl *x509.Certificate, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make key for %s: %w", tmpl.Subject.CommonName, err)
	}
	cert, err := a.issue(tmpl, key.Public(), now)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

// ServerTLS gives a server configuration whose certificate renews itself when
// two thirds of its life are over. With clients true, a client certificate
// of this CA is required.
func (a *Authority) ServerTLS(names []string, clients bool) (*tls.Config, error) {
	first, err := a.Server(names, time.Now(), serverLife)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex // guards current
	current := &first
	// Certificates stays empty: else GetCertificate is asked only by clients
	// that send a server name, and those that dial an address do not.
	conf := &tls.Config{MinVersion: tls.VersionTLS13}
	conf.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.After(current.Leaf.NotAfter.Add(-serverLife / 3)) {
			next, err := a.Server(names, now, serverLife)
			if err != nil {
				return nil, err
			}
			current = &next
		}
		return current, nil
	}
	if clients {
		conf.ClientAuth = tls.RequireAndVerifyClientCert
		conf.ClientCAs = a.Pool()
	}
	return conf, nil
}

// IsKiosk says whether c is a kiosk's certificate.
func IsKiosk(c *x509.Certificate) bool { return hasUnit(c, unitKiosk) }

// IsCentral says whether c is central's own client certificate.
func IsCentral(c *x509.Certificate) bool {
	return hasUnit(c, unitCentral) && c.Subject.CommonName == wire.CentralName
}

func hasUnit(c *x509.Certificate, unit string) bool {
	return c != nil && len(c.Subject.OrganizationalUnit) == 1 && c.Subject.OrganizationalUnit[0] == unit
}

// EncodePair gives certificate and key as PEM, for a broker or a proxy that
// wants files.
func EncodePair(c tls.Certificate) (cert, key []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, nil, fmt.Errorf("encode key: %w", err)
	}
	return certPEM(c.Certificate[0]), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
