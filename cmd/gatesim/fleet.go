package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gateagent/gate/wire"
)

// fleet asks central what it holds, as a tool of the operator would.
type fleet struct {
	origin string
	token  string
	client *http.Client
}

// newFleet takes CA and token from central's state folder.
func newFleet(addr, state string) (*fleet, error) {
	root, err := os.ReadFile(filepath.Join(state, "ca", "ca.pem"))
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(filepath.Join(state, "api.token"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	return &fleet{
		origin: "https://" + addr, token: strings.TrimSpace(string(token)),
		client: &http.Client{
			Timeout:   10 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}},
		},
	}, nil
}

func (f *fleet) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.origin+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+f.token)
	res, err := f.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("central: %s: %s", path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// records gives everything that central holds of a kiosk, oldest first.
func (f *fleet) records(ctx context.Context, kiosk string) ([]wire.Record, error) {
	var all []wire.Record
	for after := int64(0); ; {
		var page struct {
			Results []struct {
				Record wire.Record `json:"record"`
			} `json:"results"`
			Next int64 `json:"next"`
		}
		path := "/api/results.json?kiosk=" + url.QueryEscape(kiosk) + "&after=" + strconv.FormatInt(after, 10)
		if err := f.get(ctx, path, &page); err != nil {
			return nil, err
		}
		for _, r := range page.Results {
			all = append(all, r.Record)
		}
		if page.Next == 0 {
			return all, nil
		}
		after = page.Next
	}
}

// alarms gives what central complains of.
func (f *fleet) alarms(ctx context.Context) ([]string, error) {
	var answer struct {
		Health []string `json:"health"`
		Alarms []struct {
			Kind, Text string
		} `json:"alarms"`
	}
	if err := f.get(ctx, "/api/kiosks.json", &answer); err != nil {
		return nil, err
	}
	out := answer.Health
	for _, a := range answer.Alarms {
		out = append(out, a.Kind+": "+a.Text)
	}
	return out, nil
}
