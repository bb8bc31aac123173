//go:build linux

package debian

import (
	"strings"
	"testing"
	"testing/fstest"
)

const osRelease = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n"

func TestMachineSources(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		etc  map[string]string // files below /etc/apt
		want sources
	}{
		{
			name: "one-line entries",
			etc: map[string]string{"sources.list": `# a comment
deb http://mirror.example/debian bookworm main contrib # trailing
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/debian bookworm-updates main
deb http://other.example/tools bookworm stable
deb cdrom:[Debian GNU/Linux 12.0.0 _Bookworm_ - Official]/ bookworm main
`},
			want: sources{list: "deb  http://mirror.example/debian trixie main\n"},
		},
		{
			name: "one-line entry with options, in a directory",
			etc: map[string]string{
				"sources.list.d/a.list":     "deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] https://mirror.example/debian bookworm main\n",
				"sources.list.d/a.list.bak": "deb http://old.example/debian bookworm main\n",
			},
			want: sources{list: "deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] https://mirror.example/debian trixie main\n"},
		},
		{
			name: "stanzas",
			etc: map[string]string{"sources.list.d/debian.sources": `Types: deb deb-src
# where from
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main non-free-firmware
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDME

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
`},
			want: sources{deb822: `components: main
signed-by: 
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDME
suites: trixie
types: deb
uris: http://mirror.example/debian

`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			etc := fstest.MapFS{"os-release": {Data: []byte(osRelease)}}
			for name, text := range test.etc {
				etc["apt/"+name] = &fstest.MapFile{Data: []byte(text)}
			}
			got, err := machineSources(etc, "trixie")
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestMachineSourcesErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, release, want string
	}{
		{"no entry", osRelease, "add Debian's"},
		{"another system", "ID=ubuntu\nPRETTY_NAME=Ubuntu\nVERSION_CODENAME=noble\n", `"Ubuntu"`},
		{"no release name", "ID=debian\nPRETTY_NAME=sid\n", `"sid"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			etc := fstest.MapFS{
				"os-release":       {Data: []byte(test.release)},
				"apt/sources.list": {Data: []byte("deb http://mirror.example/debian bullseye main\n")},
			}
			_, err := machineSources(etc, "trixie")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %s", err, test.want)
			}
		})
	}
}
