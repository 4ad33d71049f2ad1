"""@pytest.mark.after(test, …): it goes on where others ended. A selection (-k) without those is refused before anything is done."""
import pytest


def pytest_configure(config):
    config.addinivalue_line("markers", "after(*tests): these have to run before it")


@pytest.hookimpl(trylast=True)  # when -k has left out what it leaves out
def pytest_collection_modifyitems(items):
    before = set()
    for item in items:
        needed = {test for mark in item.iter_markers("after") for test in mark.args} - before - {item.name}
        if needed:
            raise pytest.UsageError("%s goes on where %s ended: select that as well" % (item.name, " and ".join(sorted(needed))))
        before.add(item.name)
