"""Pictures of the same classes from many sites: what a model of some is worth at a new one."""

from quickstudy.domains.sites.reader import sites
from quickstudy.domains.sites.site_tasks import SiteTasks

__all__ = ["SiteTasks", "sites"]
