package main

import (
	"os"
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
face = "off"

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
	}
	if !s.o.once {
		values["Pulse"], values["Outcome"] = "500ms", "4s"
	}
	return kioskConfig.Execute(f, values)
}
