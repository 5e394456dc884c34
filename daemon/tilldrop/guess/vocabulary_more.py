"""The vocabulary of column names in more languages.

Polish, Czech, Turkish, Indonesian, the Scandinavian ones, and the commonest words of Russian,
Chinese, Japanese and Korean. Owns `MORE`, patterns like those of `vocabulary`, which come before them, and `SIGNS`, words that
are put into English before a name is looked at. Never looks at a value.
"""

from __future__ import annotations

_NUMBER = r"(?:id|no|nr|num|numer|nummer|number|numara|numarasi|cislo|nomor|kod|kodu|kode)"
_SALE = (
    r"(?:orden|ordenes|paragon|paragonu|faktura|faktury|zamowienie|zamowienia|transakcja|transakcji"
    r"|sprzedaz|sprzedazy|kvitto|kvittering|kvitterings|bestallning|ordre|bilag|salg|forsaljning|fis"
    r"|fatura|siparis|satis|islem|uctenka|uctenky|doklad|dokladu|objednavka|objednavky|prodej|transaksi"
    r"|pesanan|struk|nota|faktur|penjualan)"
)
_ITEM = r"(?:produkt|produktu|towar|towaru|artykul|vara|vare|varu|urun|zbozi|produk|barang)"
_STORE = (
    r"(?:sklep|sklepu|oddzial|oddzialu|butik|butiks|butikk|forretning|magaza|sube|prodejna|prodejny"
    r"|pobocka|pobocky|toko|cabang|gerai)"
)

MORE: dict[str, tuple[tuple[str, int], ...]] = {
    "transaction": (
        (rf"\b{_SALE} ?{_NUMBER}\b|\b{_NUMBER} {_SALE}\b", 10),
        (rf"^{_SALE}$", 7),
    ),
    "location": (
        (rf"\b{_STORE} ?{_NUMBER}\b|\b{_NUMBER} {_STORE}\b", 10),
        (rf"^{_STORE}$", 9),
        (rf"\b(?:nazwa|nazev|nama) {_STORE}\b|\b{_STORE} (?:adi|navn|namn)\b", 8),
    ),
    "register": ((r"^(?:kasa|nr kasy|numer kasy|kasse nr|pokladna|yazarkasa|kasa no)$", 9),),
    "operator": (
        (r"^(?:kasjer|sprzedawca|pracownik|kassor|saljare|selger|saelger|ekspedient|kasiyer|satici|personel|prodavac|pokladni|kasir|pegawai)\b", 8),
    ),
    "shopper": (
        (rf"\b(?:klient|klienta|kund|kunde|musteri|zakaznik|zakaznika|pelanggan) ?{_NUMBER}\b|\b{_NUMBER} (?:klienta|klient|zakaznika|pelanggan)\b", 10),
        (r"^(?:klient|kund|musteri|zakaznik|pelanggan)$", 6),
    ),
    "date": (
        (r"\b(?:data|datum|dato|tanggal|tgl) (?:sprzedazy|transakcji|zakupu|zamowienia|paragonu|faktury|wystawienia|prodeje|objednavky|transaksi|penjualan|pesanan|order)\b", 10),
        (r"\b(?:data|date|fecha) (?:di |de |da |d )?(?:acquisto|achat|vendita|ordine|venta|venda|compra|orden)\b|^(?:fechaventa|fechacompra|datavenda|dataacquisto|datavendita)$", 10),
        (r"\b(?:satis|siparis|islem|fatura|fis) tarihi?\b|^(?:salgsdato|ordredato|kopdatum|forsaljningsdatum|bestallningsdatum|orderdatum|kvitteringsdato)$", 10),
        (r"^(?:tarih|tarihi|tanggal|tgl|dato|waktu|tarih saat|data i godzina|data godzina)$", 9),
    ),
    "time": ((r"^(?:godzina|czas|tid|klokkeslett|klokkeslaet|klockslag|saat|saati|cas|jam)$", 10),),
    "total": (
        (r"^(?:kwota brutto|wartosc brutto|suma brutto|do zaplaty|kwota do zaplaty|kwota razem|lacznie|razem|totalbelopp|totalbelob|totalbelop|total belopp|i alt|sum inkl mva|sum inkl moms|toplam tutar|genel toplam|odenen tutar|celkem|celkem s dph|celkova castka|total harga|total bayar|total pembayaran)$", 9),
        (r"^(?:kwota|wartosc|wartosc sprzedazy|belopp|belob|belop|tutar|toplam|satis tutari|castka)$", 7),
    ),
    "quantity": (
        (r"^(?:ilosc|liczba sztuk|szt|sztuk|antal|antall|adet|miktar|satis adedi|mnozstvi|pocet|pocet kusu|kuantitas|jumlah barang|jumlah item)$", 10),
    ),
    "unit-price": (
        (r"^(?:cena jednostkowa|cena jedn|cena za szt\w*|styckpris|stykpris|enhetspris|a pris|apris|birim fiyati?|birim satis fiyati|jednotkova cena|cena za kus|harga satuan|harga per unit)$", 10),
        (r"^(?:cena|pris|fiyat|fiyati|satis fiyati|harga|harga jual)$", 8),
    ),
    "net": ((r"\b(?:exkl moms|uden moms|ekskl moms|eks mva|ekskl mva|kdv haric|bez dph|bez vat)\b", 9),),
    "gross": ((r"\b(?:inkl moms|inkl mva|kdv dahil|s dph|z vat|brutto)\b", 9),),
    "tax": ((r"\b(?:podatek|moms|mva|kdv|dph|ppn|pajak)\b", 9),),
    "discount": ((r"\b(?:rabat|rabaty|upust|znizka|indirim|sleva|diskon|potongan)\b", 9),),
    "cost": ((r"\b(?:koszt|cena zakupu|marza|zysk|inkopspris|kostpris|maliyet|kar|nakupni cena|harga beli|modal|keuntungan|laba)\b", 9),),
    "change": ((r"^(?:reszta|vaxel|vekslepenge|para ustu|kembalian)$", 9),),
    "tender": (
        (r"\b(?:platnosc|platnosci|zaplata|betalning|betalningssatt|betaling|betalingsmetode|betalingsmiddel|betalingsmate|odeme|odeme yontemi|odeme turu|odeme tipi|platba|platby|pembayaran)\b", 8),
    ),
    "status": ((r"\b(?:durum|durumu|stav)\b", 8),),
    "kind": ((r"^(?:rodzaj|rodzaj transakcji|rodzaj dokumentu|typ transakcji|islem turu|islem tipi|druh|jenis|jenis transaksi)$", 7),),
    "product": (
        (rf"\b{_ITEM} ?{_NUMBER}\b|\b{_NUMBER} {_ITEM}\b|^(?:varenr|varenummer|artikelnummer|varunummer)$", 9),
    ),
    "barcode": ((r"\b(?:barkod|kod kreskowy|streckkod|stregkode|strekkode|carovy kod)\b", 10),),
    "description": (
        (rf"^(?:{_ITEM}|nazwa|nazwa {_ITEM}|opis|{_ITEM} adi|{_ITEM} ?(?:namn|navn)|benamning|beskrivning|varetekst|nazev|nazev {_ITEM}|nama {_ITEM})$", 8),
    ),
    "category": ((r"^(?:kategoria|kategori|kategorie|kategorisi|grupa|varugrupp|varegruppe)$", 7),),
    "stock": ((r"\b(?:stan magazynowy|stan|lagersaldo|lagerbeholdning|stok|stok miktari|skladem|stok barang)\b", 8),),
}  # fmt: skip

# Longest first: what is said of a part must not hide what is said of the whole.
SIGNS: tuple[tuple[str, str], ...] = (
    *(("支付方式", "payment method"), ("付款方式", "payment method"), ("支払方法", "payment method")),
    *(("결제수단", "payment method"), ("결제방법", "payment method"), ("способ оплаты", "payment method")),
    *(("订单号", "order id"), ("流水号", "receipt no"), ("小票", "receipt"), ("订单", "order"), ("交易", "transaction")),
    *(("注文", "order"), ("伝票", "receipt"), ("取引", "transaction"), ("주문", "order"), ("거래", "transaction")),
    *(("영수증", "receipt"), ("номер", "number"), ("чека", "receipt"), ("чек", "receipt"), ("заказа", "order"), ("заказ", "order")),
    *(("编号", "id"), ("番号", "number"), ("번호", "number"), ("号码", "number")),
    *(("销售日期", "sale date"), ("日期", "date"), ("时间", "time"), ("日付", "date"), ("日時", "datetime"), ("時刻", "time"), ("時間", "time")),
    *(("날짜", "date"), ("일자", "date"), ("일시", "datetime"), ("시간", "time"), ("дата", "date"), ("время", "time")),
    *(("门店", "store"), ("店铺", "store"), ("店舗", "store"), ("매장", "store"), ("지점", "store"), ("магазин", "store")),
    *(("商品", "product"), ("产品", "product"), ("상품", "product"), ("товара", "product"), ("товар", "product")),
    *(("名称", "name"), ("名前", "name"), ("이름", "name"), ("наименование", "name"), ("название", "name")),
    *(("数量", "quantity"), ("수량", "quantity"), ("количество", "quantity"), ("кол-во", "quantity")),
    *(("单价", "unit price"), ("単価", "unit price"), ("단가", "unit price"), ("价格", "price"), ("価格", "price"), ("가격", "price"), ("цена", "price")),
    *(("销售额", "sales amount"), ("总金额", "total amount"), ("金额", "amount"), ("総額", "total"), ("总额", "total"), ("总价", "total")),
    *(("合计", "total"), ("总计", "total"), ("金額", "amount"), ("合計", "total"), ("금액", "amount"), ("합계", "total"), ("총액", "total")),
    *(("итого", "total"), ("сумма", "amount"), ("стоимость", "amount")),
    *(("折扣", "discount"), ("割引", "discount"), ("할인", "discount"), ("скидка", "discount")),
    *(("类别", "category"), ("分类", "category"), ("类目", "category"), ("カテゴリ", "category"), ("카테고리", "category"), ("категория", "category")),
    *(("客户", "customer"), ("顾客", "customer"), ("会员", "member"), ("顧客", "customer"), ("고객", "customer"), ("клиент", "customer"), ("покупатель", "customer")),
    *(("状态", "status"), ("상태", "status"), ("статус", "status"), ("退款", "refund"), ("환불", "refund"), ("возврат", "refund")),
    *(("касса", "register"), ("кассир", "cashier"), ("оплата", "payment"), ("税", "tax"), ("ндс", "tax")),
)  # fmt: skip
