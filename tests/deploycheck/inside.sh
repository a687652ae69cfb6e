# Inside the machine: the steps of docs/install.md, then what they must lead to (begin); after a
# reboot all of it again, and the end (again).
set -eu
units="console portal ingest worker beat gateway gate ship"
ask() { python3 /opt/bailey/tests/deploycheck/ask.py "$@"; }
healthy() { # one of console/healthy.py's services, with its unit's file
    file=$1
    case $1 in ship) file=gate ;; beat | ingest) file=worker ;; esac
    (export BAILEY_ALIVE="/run/bailey-$1/alive" && set -a && . "/etc/bailey/$file.env" && cd /opt/bailey && .venv/bin/python -m console.healthy "$1") 2>&1
}
until_healthy() {
    for _ in $(seq 90); do
        if said=$(healthy "$1"); then echo "  $said"; return; fi
        sleep 1
    done
    echo "$said" && exit 1
}
all_work() { # a mail with this subject goes the whole way
    for each in $units; do until_healthy $each; done
    systemctl is-active --quiet sink || systemd-run --quiet --unit=sink python3 /opt/bailey/tests/deploycheck/ask.py sink 2600
    for _ in $(seq 30); do if ask send "$1" 2>/dev/null; then break; fi; sleep 1; done
    ask signed-in "$1"
    asked=$(runuser -u postgres -- psql -tA -d bailey -c "SELECT count(*) FROM incidents_observation
        WHERE mail->>'subject' = 'check $1' AND detail->'engines' @> '[{\"engine\": \"rspamd\"}]'")
    [ "$asked" -gt 0 ] || { echo "Rspamd was not asked about the mail $1"; exit 1; }
}
if [ "$1" = again ]; then
    echo "After a reboot …"
    all_work third
    echo "Stopped, each cleanly …"
    for each in ship gate gateway beat worker ingest portal console; do
        systemctl stop bailey-$each
        result=$(systemctl show --property=Result --value bailey-$each)
        [ "$result" = success ] || { echo "bailey-$each: $result"; exit 1; }
    done
    if pgrep -u bailey,bailey-gate -a || pgrep -a rspamd; then echo "something is left"; exit 1; fi
    exit
fi

echo "Accounts, database, files in /etc/bailey …"
systemctl --quiet disable --now postfix rspamd 2>/dev/null
useradd --system --user-group --home-dir /opt/bailey --shell /usr/sbin/nologin bailey
useradd --system --user-group --home-dir /opt/bailey --shell /usr/sbin/nologin --groups postfix bailey-gate
cd /opt/bailey
password=$(openssl rand -hex 24)
runuser -u postgres -- psql -q -d postgres -v bailey_owner_password="$password" \
    -v bailey_console_password="$password" -v bailey_portal_password="$password" \
    -v bailey_worker_password="$password" -f deploy/roles.sql
runuser -u postgres -- createdb -O bailey_owner bailey
runuser -u postgres -- psql -q -d bailey -c 'ALTER SCHEMA public OWNER TO bailey_owner'
install -d -m 700 /etc/bailey
ask files deploy/environment.example /etc/bailey "$password"
install -m 755 deploy/bailey /usr/local/sbin/bailey
bailey migrate >/dev/null
export BAILEY_PASSWORD=correct-horse-battery
bailey createprovider --slug north --name "North IT" --email mo@north.example --person Mo >/dev/null
secret=$(bailey creategate mx1 --hostname mx1.example.com | sed -n 's/^BAILEY_GATE_SECRET.*: //p')
sed -i "s/^BAILEY_GATE_SECRET=.*/BAILEY_GATE_SECRET=$secret/" /etc/bailey/gate.env
bailey createclient --slug acme --name Acme --domain acme.example --next-hop 127.0.0.1:2600 \
    --mailbox "ada@acme.example,Ada,CEO" >/dev/null

echo "Certificates and nginx …"
for each in soc:soc.example.com portal:mail-security.example.com ingest:ingest.example.com; do
    folder=/etc/ssl/bailey/${each%%:*}
    mkdir -p "$folder"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 -subj "/CN=${each#*:}" \
        -addext "subjectAltName=DNS:${each#*:}" -keyout "$folder/privkey.pem" -out "$folder/fullchain.pem" 2>/dev/null
    cp "$folder/fullchain.pem" "/usr/local/share/ca-certificates/${each%%:*}.crt"
done
update-ca-certificates >/dev/null 2>&1
cp deploy/nginx/bailey.conf /etc/nginx/conf.d/
nginx -q -t && systemctl reload nginx

echo "Units …"
cp deploy/systemd/*.service /etc/systemd/system/
systemctl daemon-reload
systemctl --quiet enable --now $(printf 'bailey-%s ' $units)
all_work first
main=$(systemctl show --property=MainPID --value bailey-console)
for secret in /etc/bailey/owner.env /etc/bailey/gate.env "/proc/$main/environ"; do
    if runuser -u bailey-gate -- cat "$secret" >/dev/null 2>&1; then echo "the gate may read $secret"; exit 1; fi
done

echo "kill -9 of each …"
for each in $units; do kill -9 "$(systemctl show --property=MainPID --value bailey-$each)"; done
sleep 3
all_work second
for each in $units; do
    systemctl is-active --quiet bailey-$each || { echo "bailey-$each is not active"; exit 1; }
done
