package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"gateagent/internal/passhash"
)

// kioskConfig is the agent's configuration. Waits are short where nobody
// looks at the screen.
var kioskConfig = template.Must(template.New("config").Parse(`# The demo's kiosk.
[gate]
name = "{{.Gate}}"
zone = "Asia/Ho_Chi_Minh"

[state]
dir = '{{.Dir}}/kiosk'
runtime = '{{.Dir}}/kiosk/run'

[policy]
name = "demo"
{{if .Pack}}face = "required"

[face]
legal_basis = "{{.Basis}}"
source = "page"
pack = '{{.Pack}}'
pack_hash = "{{.PackHash}}"
library = '{{.Library}}'
demo = true
attack = "evaluatory"
consent = "8s"
limit = "6s"
{{else}}face = "off"
{{end}}
[clock]
source = "assume"

[reader]
name = "Virtual PCD 00 00"

[[scanner]]
path = '{{.Dir}}/dev/scanner'
framing = "line"

[[scanner]]
path = '{{.Dir}}/dev/mrz-reader'
framing = "stx_etx"

[barrier]
path = '{{.Dir}}/dev/relay'
profile = "modbus"
active = "energised_opens"
pulse = "{{.Pulse}}"
passage = "3s"
address = 1
relay = 1
input = 1

[trust]
dir = '{{.Dir}}/trust'

[list]
dir = '{{.Dir}}/list'

[web]
listen = "{{.Page}}"

[[staff.operator]]
name = "{{.Operator}}"
pin = "{{.PIN}}"

[timing]
outcome = "{{.Outcome}}"
`))

func (s *site) writeConfig() error {
	f, err := os.OpenFile(s.path("gateagent.toml"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	values := map[string]string{
		"Gate": gateName, "Dir": s.dir, "Page": s.pageAddr, "Operator": operatorName,
		"PIN": passhash.Hash([]byte(s.pin)), "Pulse": "200ms", "Outcome": "1s",
		"Basis": legalBasis,
	}
	if !s.o.once {
		values["Pulse"], values["Outcome"] = "500ms", "4s"
	}
	if s.o.faces {
		if err := s.modelPack(values); err != nil {
			return err
		}
	}
	return kioskConfig.Execute(f, values)
}

// modelPack names the demo pack and ONNX Runtime to the kiosk. A real kiosk's
// configuration is told the pack's hash by whoever imported it.
func (s *site) modelPack(values map[string]string) error {
	dir, err := filepath.Abs(s.o.models)
	if err != nil {
		return err
	}
	values["Pack"], values["Library"] = filepath.Join(dir, "demo"), filepath.Join(dir, "onnxruntime", "libonnxruntime.so")
	manifest, err := os.ReadFile(filepath.Join(values["Pack"], "pack.json"))
	if err == nil {
		_, err = os.Stat(values["Library"])
	}
	if err != nil {
		return fmt.Errorf("%w: run scripts/setup, or name its folder with --models", err)
	}
	sum := sha256.Sum256(manifest)
	values["PackHash"] = hex.EncodeToString(sum[:])
	return nil
}
