"""Every event the daemon can log, a typed function each: read this file to know what it says.

Events are a name and fields, never prose. Names are `noun.past_verb`. `error`: a person must
act; `warning`: we coped; `info`: the story; `debug`: protocol chatter. No password, key or
file content is ever a field; names that customers chose are field values.
How they are written is `journal_lines`. Longer than other modules, because one file is to hold all
that the daemon can say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from tilldrop.rows import Report

log: structlog.stdlib.BoundLogger = structlog.get_logger("tilldrop")


def delivery_moved(
    delivery: str,
    customer: str,
    name: str,
    before: str,
    after: str,
    cause: str,
    reason: str | None,
    peer: str,
) -> None:
    """Say a delivery changed its state; called by `ledger` alone. peer: from where it came."""
    log.info(
        "delivery.moved",
        delivery=delivery,
        customer=customer,
        name=name,
        before=before,
        after=after,
        cause=cause,
        reason=reason,
        peer=peer,
    )


def ledger_failed(text: str) -> None:
    """Say the ledger cannot be written; uploads are refused until it can."""
    log.error("ledger.failed", text=text)


def descriptors_scarce(limit: int, wanted: int) -> None:
    """Say that the doors may need more descriptors than the system grants."""
    log.warning("descriptors.scarce", limit=limit, wanted=wanted)


def guard_crowded(waiting: int) -> None:
    """Say that strangers fill the room of those who wait for their login."""
    log.warning("guard.crowded", waiting=waiting)


def loop_stalled(took_ms: int, work_ms: int, stalls: int) -> None:
    """Say nobody was answered for so long; work_ms: of it our own; stalls: since the start."""
    log.warning("loop.stalled", took_ms=took_ms, work_ms=work_ms, stalls=stalls)


def audit_failed(text: str) -> None:
    """Say the audit log cannot be written; until it can, what was done is kept in memory."""
    log.error("audit.failed", text=text)


def audit_sealed(seq: int, head: str) -> None:
    """Say how far the audit log goes, for whoever keeps this journal: see `audit verify`."""
    log.info("audit.sealed", seq=seq, head=head)


def keys_changed(customer: str, added: list[str], removed: list[str]) -> None:
    """Say a customer's keys are others than they were; by their fingerprints."""
    log.info("keys.changed", customer=customer, added=added, removed=removed)


def key_refused(customer: str, line: int | None, why: str) -> None:
    """Say a customer's public key cannot be used; line None: the whole file."""
    log.warning("key.refused", customer=customer, line=line, why=why)


def password_unreadable(customer: str, why: str) -> None:
    """Say a customer's password file is damaged or not ours to read: no login by password."""
    log.error("password.unreadable", customer=customer, why=why)


def password_replaced(customer: str, before: str) -> None:
    """Say a hash that was brought along is now ours. before: its kind, such as "bcrypt"."""
    log.info("password.replaced", customer=customer, before=before)


def password_not_replaced(customer: str, why: str) -> None:
    """Say a hash that was brought along stays, because keys/ cannot be written; logins go on."""
    log.warning("password.not_replaced", customer=customer, why=why)


def host_key_made(kind: str, path: str) -> None:
    """Say a host key was missing and has been made."""
    log.info("host_key.made", kind=kind, path=path)


def host_key_tightened(path: str, mode: str) -> None:
    """Say others could read a host key; its mode was made 0600. mode: what it was, octal."""
    log.warning("host_key.tightened", path=path, mode=mode)


def door_opened(door: str, host: str, port: int) -> None:
    """Say a door takes connections at that address."""
    log.info("door.opened", door=door, host=host, port=port)


def socket_taken_over(listener: str) -> None:
    """Say a socket of the last life is used on: nobody was refused meanwhile."""
    log.info("socket.taken_over", listener=listener)


def socket_given_up(listener: str) -> None:
    """Say a passed socket is closed: the configuration has it elsewhere, or no more."""
    log.info("socket.given_up", listener=listener)


def door_closed(door: str) -> None:
    """Say a door takes no more connections."""
    log.info("door.closed", door=door)


def login_accepted(door: str, customer: str, peer: str, method: str, key: str | None) -> None:
    """Say a customer proved who it is. key: fingerprint of the key used, if one was."""
    log.info("login.accepted", door=door, customer=customer, peer=peer, method=method, key=key)


def login_refused(
    door: str, customer: str, peer: str, method: str, reason: str, key: str | None
) -> None:
    """Say a login failed. customer: as claimed. reason: for the operator; the peer is not told.

    key: fingerprint of the key offered. Clients offer every key they hold, so a key that is
    not listed is no cause for concern.
    """
    say = log.warning if key is None else log.info
    say(
        "login.refused",
        door=door,
        customer=customer,
        peer=peer,
        method=method,
        reason=reason,
        key=key,
    )


def password_in_clear(door: str, customer: str, peer: str) -> None:
    """Say a right password came unencrypted: who listens on the way has it."""
    log.warning("password.in_clear", door=door, customer=customer, peer=peer)


def certificate_made(path: str) -> None:
    """Say the FTP door's certificate was missing and one signed by itself has been made."""
    log.info("certificate.made", path=path)


def certificate_refused(path: str, why: str) -> None:
    """Say a new certificate cannot be used; the FTP door goes on with the one it has."""
    log.error("certificate.refused", path=path, why=why)


def door_troubled(door: str, text: str) -> None:
    """Say a library beneath a door met what it did not expect; text may be a traceback."""
    log.error("door.troubled", door=door, text=text)


def login_was_legacy(door: str, customer: str, peer: str, client: str) -> None:
    """Say a customer came by the door for old tills. client: what its program calls itself."""
    log.warning("login.was_legacy", door=door, customer=customer, peer=peer, client=client)


def login_abandoned(door: str, customer: str, peer: str, reason: str) -> None:
    """Say a connection ended before its login did. customer: as claimed, "" if it came not so far.

    reason: "key-not-proved" if a listed key was shown and its owner never signed, else what the
    library says: no common algorithms, a time limit.
    """
    log.info("login.abandoned", door=door, customer=customer, peer=peer, reason=reason)


def connection_refused(door: str, peer: str, reason: str) -> None:
    """Say a connection was closed before its login."""
    log.warning("connection.refused", door=door, peer=peer, reason=reason)


def source_shut_out(source: str, offence: str, seconds: int) -> None:
    """Say a source failed too often to be let in; for how long."""
    log.warning("source.shut_out", source=source, offence=offence, seconds=seconds)


def source_forgiven(source: str) -> None:
    """Say an operator lifted a source's penalty."""
    log.info("source.forgiven", source=source)


def session_opened(door: str, customer: str, peer: str) -> None:
    """Say a customer's session began."""
    log.info("session.opened", door=door, customer=customer, peer=peer)


def session_ended(
    door: str, customer: str, peer: str, uploads: int, broken: int, size_bytes: int, took_ms: int
) -> None:
    """Say a session is over: files finished, files left broken, bytes received, how long."""
    log.info(
        "session.ended",
        door=door,
        customer=customer,
        peer=peer,
        uploads=uploads,
        broken=broken,
        size_bytes=size_bytes,
        took_ms=took_ms,
    )


def request_refused(
    door: str, customer: str, request: str, code: str, why: str, peer: str = ""
) -> None:
    """Say a customer's request was answered with a failure. code: of the TilldropError."""
    log.info(
        "request.refused",
        door=door,
        customer=customer,
        request=request,
        code=code,
        why=why,
        peer=peer,
    )


def file_read(delivery: str, customer: str, name: str, door: str, peer: str) -> None:
    """Say a customer opened a file to read it back."""
    log.info("file.read", delivery=delivery, customer=customer, name=name, door=door, peer=peer)


def receipt_read(delivery: str, customer: str, door: str, peer: str) -> None:
    """Say a customer opened a receipt."""
    log.info("receipt.read", delivery=delivery, customer=customer, door=door, peer=peer)


def request_failed(door: str, customer: str, request: str) -> None:
    """Say a bug was met while a request was answered; the traceback goes with it."""
    log.error(
        "request.failed",
        door=door,
        customer=customer,
        request=request,
        exc_info=True,  # noqa: LOG014  called while the exception is handled
    )


def watch_failed(text: str) -> None:
    """Say the arrival of files cannot be watched (inotify limits, say); it is tried again."""
    log.error("watch.failed", text=text)


def watch_restarted() -> None:
    """Say the watch had ended and is on again; what arrived meanwhile is looked for."""
    log.warning("watch.restarted")


def watch_overflowed() -> None:
    """Say more files arrived than the kernel's queue of events holds; they are looked for."""
    log.warning("watch.overflowed")


def folder_opened(folder: str, customer: str) -> None:
    """Say a folder is there, and its files are taken for that customer."""
    log.info("folder.opened", folder=folder, customer=customer)


def folder_closed(folder: str, customer: str) -> None:
    """Say a folder's files are no longer taken."""
    log.info("folder.closed", folder=folder, customer=customer)


def folder_missed(folder: str, customer: str, why: str) -> None:
    """Say a folder cannot be looked into: said once, tried until it can."""
    log.warning("folder.missed", folder=folder, customer=customer, why=why)


def folder_troubled(folder: str, customer: str, code: str, text: str) -> None:
    """Say the ledger or the spool refused while a folder's files were taken; tried again."""
    log.error("folder.troubled", folder=folder, customer=customer, code=code, text=text)


def folder_failed(folder: str, customer: str) -> None:
    """Say a bug was met while a folder's files were taken; the traceback goes with it."""
    log.error("folder.failed", folder=folder, customer=customer, exc_info=True)  # noqa: LOG014  as above


def original_put_off(folder: str, customer: str, name: str, why: str) -> None:
    """Say a file is quiet and is not taken yet: somebody has it open, or it cannot be read."""
    log.warning("original.put_off", folder=folder, customer=customer, name=name, why=why)


def original_refused(folder: str, customer: str, name: str, code: str, why: str) -> None:
    """Say a file in a folder is not taken until it changes. code: of the TilldropError."""
    log.warning("original.refused", folder=folder, customer=customer, name=name, code=code, why=why)


def original_recognised(folder: str, customer: str, name: str, delivery: str) -> None:
    """Say a file looks like another one to the system and is what was delivered already."""
    log.info("original.recognised", folder=folder, customer=customer, name=name, delivery=delivery)


def original_moved(folder: str, customer: str, name: str, to: str) -> None:
    """Say a delivered file was moved out of the way. to: its name below the folder."""
    log.info("original.moved", folder=folder, customer=customer, name=name, to=to)


def original_deleted(folder: str, customer: str, name: str) -> None:
    """Say a delivered file was deleted from its folder."""
    log.info("original.deleted", folder=folder, customer=customer, name=name)


def original_stays(folder: str, customer: str, name: str, why: str) -> None:
    """Say a delivered file could be neither moved nor deleted."""
    log.warning("original.stays", folder=folder, customer=customer, name=name, why=why)


def upload_abandon_failed(delivery: str, code: str, text: str) -> None:
    """Say a broken upload could not be recorded as such; the next start does it."""
    log.warning("upload.abandon_failed", delivery=delivery, code=code, text=text)


def sender_withdrew(delivery: str, customer: str, name: str) -> None:
    """Say a client tried to remove what it had just delivered: it may be a cancelled upload."""
    log.warning("sender.withdrew", delivery=delivery, customer=customer, name=name)


def sessions_left(door: str, count: int) -> None:
    """Say sessions had not ended when a door was stopped; their uploads are found at start."""
    log.warning("sessions.left", door=door, count=count)


def import_finished(
    report: Report, customer: str, name: str, cause: str, attempt: int, took_ms: int
) -> None:
    """Say an import is over, whatever its outcome: the one line with all its figures."""
    counts = report.counts
    log.info(
        "import.finished",
        delivery=report.delivery,
        customer=customer,
        name=name,
        run=report.run,
        attempt=attempt,
        cause=cause,
        outcome=report.outcome,
        reason=report.reason,
        feed=report.feed,
        lane=report.lane,
        size_bytes=report.size_bytes,
        read=counts.read,
        rejected=counts.rejected,
        repeated=counts.repeated,
        transactions=counts.transactions,
        inserted=counts.inserted,
        updated=counts.updated,
        unchanged=counts.unchanged,
        superseded=counts.superseded,
        refunds=counts.refunds,
        total_minor=report.total_minor,
        currency=report.currency,
        faults=report.fault_count,
        warnings=sum(report.warning_counts.values()),
        took_ms=took_ms,
    )


def import_put_off(delivery: str, customer: str, name: str, why: str, retry_in_s: float) -> None:
    """Say an import did not come to an end and is tried again."""
    log.warning(
        "import.put_off",
        delivery=delivery,
        customer=customer,
        name=name,
        why=why,
        retry_in_s=retry_in_s,
    )


def import_failed(delivery: str, customer: str, name: str) -> None:
    """Say a bug was met while a delivery was dispatched; the traceback goes with it."""
    log.error(
        "import.failed",
        delivery=delivery,
        customer=customer,
        name=name,
        exc_info=True,  # noqa: LOG014  as above
    )


def delivery_held(delivery: str, customer: str, name: str, reason: str) -> None:
    """Say a delivery is put aside until an operator releases it."""
    log.error("delivery.held", delivery=delivery, customer=customer, name=name, reason=reason)


def card_data_dropped(delivery: str, customer: str, name: str, reason: str) -> None:
    """Say a file was refused for the card data in it, and that its bytes are gone."""
    log.warning("card_data.dropped", delivery=delivery, customer=customer, name=name, reason=reason)


def delivery_undone(delivery: str, restored: int, removed: int, kept: int) -> None:
    """Say an operator took a delivery back; the counts are of rows."""
    log.warning("delivery.undone", delivery=delivery, restored=restored, removed=removed, kept=kept)


def bytes_not_moved(delivery: str, code: str, text: str) -> None:
    """Say a file lies in the wrong folder of the spool; start-up and the scan move it."""
    log.error("bytes.not_moved", delivery=delivery, code=code, text=text)


def importer_troubled(code: str, text: str) -> None:
    """Say the ledger could not be read or written; the importer tries again."""
    log.error("importer.troubled", code=code, text=text)


def importer_failed() -> None:
    """Say a bug was met between two imports; the traceback goes with it."""
    log.error("importer.failed", exc_info=True)  # noqa: LOG014  as above


def bytes_swept(deliveries: int) -> None:
    """Say retention dropped the bytes of that many deliveries; their rows stay."""
    log.info("bytes.swept", deliveries=deliveries)


def records_expired(refused: int, versions: int, reports: int) -> None:
    """Say how many refused records, earlier versions and deliveries' reports were let go."""
    log.info("records.expired", refused=refused, versions=versions, reports=reports)


def customer_removed(customer: str, deliveries: int, files: int, rows: int) -> None:
    """Say a customer is removed with all that was kept of it."""
    log.info("customer.removed", customer=customer, deliveries=deliveries, files=files, rows=rows)


def shopper_erased(customer: str, rows: int, files: int) -> None:
    """Say a shopper was erased on request; which one is what is forgotten."""
    log.info("shopper.erased", customer=customer, rows=rows, files=files)


def housekeeping_troubled(code: str, text: str) -> None:
    """Say a pass of the housekeeping was refused; it is tried again."""
    log.error("housekeeping.troubled", code=code, text=text)


def housekeeping_failed() -> None:
    """Say a bug was met in a pass of the housekeeping; the traceback goes with it."""
    log.error("housekeeping.failed", exc_info=True)  # noqa: LOG014  as above


def worker_started(pid: int, took_ms: int) -> None:
    """Say the importer's worker is warm."""
    log.info("worker.started", pid=pid, took_ms=took_ms)


def worker_lost(pid: int, why: str) -> None:
    """Say the worker died, hung or grew too large; it is replaced."""
    log.warning("worker.lost", pid=pid, why=why)


def worker_failed(pid: int, delivery: str, trace: str) -> None:
    """Say an import met a bug; the worker goes on."""
    log.error("worker.failed", pid=pid, delivery=delivery, trace=trace)


def worker_said(pid: int, text: str) -> None:
    """Say what the worker wrote to stderr: nothing, as a rule."""
    log.warning("worker.said", pid=pid, text=text)


def operator_asked(verb: str, user: str, pid: int, about: str, outcome: str) -> None:
    """Say an operator had something changed. user, pid: as the kernel knows who asked.

    about: ids or the customer, never more. outcome: "ok" or the error's code.
    """
    log.info("operator.asked", verb=verb, user=user, pid=pid, about=about, outcome=outcome)


def control_failed(verb: str) -> None:
    """Say a bug was met while an operator's command was carried out."""
    log.error("control.failed", verb=verb, exc_info=True)  # noqa: LOG014  as above


def service_started(version: str, pid: int, home: str, sqlite: str, ledger_mode: str) -> None:
    """Say the daemon is up and all its doors are open."""
    log.info(
        "service.started",
        version=version,
        pid=pid,
        home=home,
        sqlite=sqlite,
        ledger_mode=ledger_mode,
    )


def service_stopping(cause: str, uploads: int) -> None:
    """Say the daemon takes no more connections and waits for what is in hand."""
    log.info("service.stopping", cause=cause, uploads=uploads)


def service_stopped() -> None:
    """Say the daemon ended in order."""
    log.info("service.stopped")


def config_reloaded(customers: int, needs_restart: list[str], changed: list[str]) -> None:
    """Say a new configuration is in force. needs_restart: sections that a reload cannot change.

    changed: setting by setting, such as "limits.keep_days: 90 -> 30" or "acme: removed".
    """
    log.info("config.reloaded", customers=customers, needs_restart=needs_restart, changed=changed)


def config_refused(complaints: list[str]) -> None:
    """Say a new configuration has mistakes; the old one stays in force."""
    log.error("config.refused", complaints=complaints)
